"""API Gateway of moto 5.2, with what it does not keep, and with what AWS refuses.

An integration keeps its VPC link, the load balancer behind it and the keys of its cache. A deployment keeps the methods
as they were. An export of a stage has the methods of its deployment.
"""

import copy
import json

from moto.apigateway import models as gateway
from moto.apigateway.exceptions import (
    BadRequestException,
    ConflictException,
    NoIntegrationDefined,
    StageStillActive,
)
from moto.apigateway.responses import APIGatewayResponse
from moto.apigatewayv2.models import ApiGatewayV2Backend, apigatewayv2_backends
from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.wafv2.exceptions import WAFNonexistentItemException, WAFv2ClientError
from moto.wafv2.models import WAFV2Backend

Backend = gateway.APIGatewayBackend

# An emulated API has no address of its own that answers.
gateway.RestAPI.update_integration_mocks = lambda self, stage_name: None


def given(value):
    return {k: v for k, v in value.items() if v is not None}


create_rest_api = APIGatewayResponse.create_rest_api


def create_with_media_types(self):
    status, headers, body = create_rest_api(self)
    created = json.loads(body)
    if status == 200:
        api = self.backend.get_rest_api(created["id"])
        api.binaryMediaTypes = self._get_param("binaryMediaTypes") or []
        created = api.to_dict()
    return status, headers, json.dumps(given(created))


APIGatewayResponse.create_rest_api = create_with_media_types

create_resource = Backend.create_resource


def create_once(self, function_id, parent_resource_id, path_part):
    self.get_resource(function_id, parent_resource_id)
    for other in self.get_resources(function_id):
        if other.parent_id == parent_resource_id and other.path_part == path_part:
            raise ConflictException("Another resource with the same parent already has this name: " + path_part)
    return create_resource(self, function_id, parent_resource_id, path_part)


def delete_with_children(self, function_id, resource_id):
    api = self.get_rest_api(function_id)
    resource = self.get_resource(function_id, resource_id)
    for other in list(api.resources.values()):
        if other.parent_id == resource_id:
            self.delete_resource(function_id, other.id)
    del api.resources[resource_id]
    return resource


Backend.create_resource = create_once
Backend.delete_resource = delete_with_children

put_method = Backend.put_method


def put_once(self, function_id, resource_id, method_type, *args, **kwargs):
    if method_type in self.get_resource(function_id, resource_id).resource_methods:
        raise ConflictException("Method already exists for this resource")
    return put_method(self, function_id, resource_id, method_type, *args, **kwargs)


Backend.put_method = put_once

put_integration = APIGatewayResponse.put_integration
integration_to_json = gateway.Integration.to_json


def put_whole_integration(self):
    link, target = self._get_param("connectionId"), self._get_param("integrationTarget")
    account, region = self.current_account, self.region
    if self._get_param("connectionType") == "VPC_LINK":
        if link not in apigatewayv2_backends[account][region].vpc_links:
            raise BadRequestException("Invalid VPC link id specified: " + str(link))
        if target not in elbv2_backends[account][region].load_balancers:
            raise BadRequestException("Invalid integration target specified: " + str(target))
    answer = put_integration(self)
    _, _, api, _, resource, _, method, *_ = self.path.split("/")
    integration = self.backend.get_integration(api, resource, method)
    integration.kept = {name: self._get_param(name) for name in ("connectionId", "integrationTarget", "cacheKeyParameters")}
    return answer[0], answer[1], json.dumps(integration.to_json())


APIGatewayResponse.put_integration = put_whole_integration
gateway.Integration.to_json = lambda self: given(integration_to_json(self) | given(getattr(self, "kept", {})))
method_to_json = gateway.Method.to_json
gateway.Method.to_json = lambda self: given(method_to_json(self))

create_deployment = Backend.create_deployment
deployment_to_json = gateway.Deployment.to_json


def create_snapshot(self, function_id, name, description="", stage_variables=None):
    resources = self.get_resources(function_id)
    for resource in resources:
        for method in resource.resource_methods.values():
            if method.method_integration is None:
                raise NoIntegrationDefined()
    deployment = create_deployment(self, function_id, name, description, stage_variables)
    deployment.methods = {
        resource.get_path(): copy.deepcopy({verb: method.to_json() for verb, method in resource.resource_methods.items()})
        for resource in resources
        if resource.resource_methods
    }
    return deployment


def deployment_with_summary(self):
    summary = {
        path: {verb: {name: method[name] for name in ("authorizationType", "apiKeyRequired")} for verb, method in methods.items()}
        for path, methods in self.methods.items()
    }
    return given(deployment_to_json(self)) | {"apiSummary": summary}


def delete_unused_deployment(self, function_id, deployment_id):
    if any(stage.deployment_id == deployment_id for stage in self.get_stages(function_id)):
        raise StageStillActive()
    return delete_deployment(self, function_id, deployment_id)


Backend.create_deployment = create_snapshot
delete_deployment, Backend.delete_deployment = Backend.delete_deployment, delete_unused_deployment
gateway.Deployment.to_json = deployment_with_summary

create_stage, update_stage = Backend.create_stage, Backend.update_stage


def check_deployment(self, function_id, deployment_id):
    if deployment_id not in self.get_rest_api(function_id).deployments:
        raise BadRequestException("Deployment id does not exist")


def create_checked_stage(self, function_id, stage_name, deploymentId, *args, **kwargs):
    check_deployment(self, function_id, deploymentId)
    return create_stage(self, function_id, stage_name, deploymentId, *args, **kwargs)


def update_checked_stage(self, function_id, stage_name, patch_operations):
    for operation in patch_operations:
        path, value = operation["path"], operation.get("value")
        logs = path.endswith("/logging/loglevel") and value != "OFF" or path == "/accessLogSettings/destinationArn"
        if logs and not self.account.cloudwatch_role_arn:
            raise BadRequestException("CloudWatch Logs role ARN must be set in account settings to enable logging")
        if path == "/deploymentId":
            check_deployment(self, function_id, value)
    stage = self.get_stage(function_id, stage_name)
    # All settings of a method are removed by /PATH/METHOD, where PATH has ~1 for its slashes.
    for operation in list(patch_operations):
        key = operation["path"].removeprefix("/")
        if operation["op"] == "remove" and key in stage.method_settings:
            del stage.method_settings[key]
            patch_operations.remove(operation)
    return update_stage(self, function_id, stage_name, patch_operations)


Backend.create_stage = create_checked_stage
Backend.update_stage = update_checked_stage


def export(self):
    _, _, api_id, _, stage_name, *_ = self.path.split("/")
    api = self.backend.get_rest_api(api_id)
    deployment = api.deployments[self.backend.get_stage(api_id, stage_name).deployment_id]
    paths = {}
    for path, methods in deployment.methods.items():
        paths[path] = {}
        for verb, method in methods.items():
            name = "x-amazon-apigateway-any-method" if verb == "ANY" else verb.lower()
            paths[path][name] = {"x-amazon-apigateway-integration": method["methodIntegration"]}
            if method["authorizationType"] == "AWS_IAM":
                paths[path][name]["security"] = [{"sigv4": []}]
    document = {
        "swagger": "2.0",
        "info": {"title": api.name},
        "basePath": "/" + stage_name,
        "paths": paths,
        "x-amazon-apigateway-binary-media-types": api.binaryMediaTypes,
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode("utf-8")


APIGatewayResponse.get_export = export

update_account = Backend.update_account


def update_trusted_account(self, patch_operations):
    for operation in patch_operations:
        if operation["path"] == "/cloudwatchRoleArn" and operation.get("value"):
            roles = {role.arn: role for role in iam_backends[self.account_id]["aws"].roles.values()}
            role = roles.get(operation["value"])
            if role is None or "apigateway.amazonaws.com" not in str(role.assume_role_policy_document):
                raise BadRequestException(
                    "The role ARN does not have required permissions configured. "
                    "Please grant trust permission for API Gateway and add the required role policy."
                )
    return update_account(self, patch_operations)


Backend.update_account = update_trusted_account

apply_patch_operations = gateway.RestAPI.apply_patch_operations


def apply_media_types(self, patch_operations):
    # The path has the media type, with ~1 for its slash.
    others = []
    for operation in patch_operations:
        head, _, media_type = operation["path"].removeprefix("/").partition("/")
        media_type = media_type.replace("~1", "/")
        if head != "binaryMediaTypes":
            others.append(operation)
        elif operation["op"] == "add" and media_type not in self.binaryMediaTypes:
            self.binaryMediaTypes.append(media_type)
        elif operation["op"] == "remove" and media_type in self.binaryMediaTypes:
            self.binaryMediaTypes.remove(media_type)
    apply_patch_operations(self, others)


gateway.RestAPI.apply_patch_operations = apply_media_types

delete_vpc_link = ApiGatewayV2Backend.delete_vpc_link


def delete_unused_link(self, vpc_link_id):
    # AWS documents it for links of version 1, and nothing for those of version 2.
    used = []
    for api in gateway.apigateway_backends[self.account_id][self.region_name].apis.values():
        live = [api.deployments[stage.deployment_id].methods for stage in api.stages.values()]
        now = [{r.get_path(): {v: m.to_json() for v, m in r.resource_methods.items()}} for r in api.resources.values()]
        for methods in live + now:
            for path, verbs in methods.items():
                used += [f"{verb}:{path}" for verb, m in verbs.items() if m["methodIntegration"].get("connectionId") == vpc_link_id]
    if used:
        raise BadRequestException(f"Cannot delete vpc link '{vpc_link_id}' referenced in: {sorted(set(used))}")
    delete_vpc_link(self, vpc_link_id)


ApiGatewayV2Backend.delete_vpc_link = delete_unused_link

delete_security_group, delete_subnet = EC2Backend.delete_security_group, EC2Backend.delete_subnet


def linked(backend, kind):
    links = apigatewayv2_backends[backend.account_id][backend.region_name].vpc_links.values()
    return {each for link in links for each in getattr(link, kind) or []}


def delete_unlinked_group(self, name=None, group_id=None):
    # The network interfaces of a VPC link have its groups and are in its subnets.
    if group_id in linked(self, "sg_ids"):
        raise DependencyViolationError(f"resource {group_id} has a dependent object")
    return delete_security_group(self, name, group_id)


def delete_unlinked_subnet(self, subnet_id):
    if subnet_id in linked(self, "subnet_ids"):
        raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
    return delete_subnet(self, subnet_id)


EC2Backend.delete_security_group = delete_unlinked_group
EC2Backend.delete_subnet = delete_unlinked_subnet

associate_web_acl, delete_web_acl = WAFV2Backend.associate_web_acl, WAFV2Backend.delete_web_acl


def associate_with_stage(self, web_acl_arn, resource_arn):
    if ":apigateway:" in resource_arn and self._find_apigw_stage(resource_arn) is None:
        raise WAFNonexistentItemException
    self.disassociate_web_acl(resource_arn)
    associate_web_acl(self, web_acl_arn, resource_arn)


def delete_unassociated(self, name, scope, _id, lock_token):
    if self.get_web_acl(None, name, _id).associated_resources:
        raise WAFv2ClientError(
            "WAFAssociatedItemException",
            "AWS WAF couldn’t perform the operation because your resource is being used by another resource or it’s associated with another resource.",
        )
    delete_web_acl(self, name, scope, _id, lock_token)


WAFV2Backend.associate_web_acl = associate_with_stage
WAFV2Backend.delete_web_acl = delete_unassociated
