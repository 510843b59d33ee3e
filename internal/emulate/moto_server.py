"""moto's server, with corrections of mistakes in version 5.2, and with the configuration of Service Connect."""

import sys

from moto.awslambda.models import LambdaFunction, LayerVersion
from moto.awslambda.models import LambdaStorage as Functions
from moto.ecs.models import EC2ContainerServiceBackend as ECS
from moto.elbv2.models import FakeListener, FakeTargetGroup
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.server import main

# Nobody checks a permission. moto would deny what a bucket's policy denies, whatever its conditions are.
FakeBucket.get_permission = lambda self, action, resource: PermissionResult.NEUTRAL

check = ECS._validate_container_defs


@staticmethod
def check_without_launch_type(memory, container_definitions, requires_compatibilities):
    # A container on EC2 needs memory or memoryReservation. If a task definition requires EC2, moto insists on memory.
    # For all other task definitions, its check is right.
    check(memory, container_definitions, None)


ECS._validate_container_defs = check_without_launch_type

update, listed = ECS.update_service, ECS.list_services


def update_with_connect(self, service_properties):
    # A deployment of a service has the configuration. A service with a capacity provider strategy has no launch type.
    connect = service_properties.get("service_connect_configuration")
    strategy = service_properties.get("capacity_provider_strategy")
    service = update(self, service_properties)
    if connect is not None:
        for deployment in service.deployments:
            deployment["serviceConnectConfiguration"] = connect
    if strategy:
        service.launch_type = None
    return service


def list_without_deleted(self, cluster_str, *args, **kwargs):
    # A deleted service is described, and not listed.
    deleted = {service.arn for service in self.services.values() if service.status == "INACTIVE"}
    return [arn for arn in listed(self, cluster_str, *args, **kwargs) if arn not in deleted]


ECS.update_service = update_with_connect
ECS.list_services = list_without_deleted

new_listener, new_group = FakeListener.__init__, FakeTargetGroup.__init__


def listener_by_protocol(self, *args, **kwargs):
    # A listener without TLS has no policy for it.
    new_listener(self, *args, **kwargs)
    if self.protocol not in ("HTTPS", "TLS"):
        self.ssl_policy = None


class Once(list):
    def append(self, item):
        if item not in self:
            super().append(item)


def group_with_balancers_once(self, *args, **kwargs):
    # However many rules of a load balancer forward to the group.
    new_group(self, *args, **kwargs)
    self.load_balancer_arns = Once()


FakeListener.__init__ = listener_by_protocol
FakeTargetGroup.__init__ = group_with_balancers_once

publish = Functions.publish_version


def publish_with_new_number(self, name_or_arn, description=""):
    # moto counts the versions that there are. On AWS, the number of a deleted version is not used again.
    latest = self.get_function_by_name_or_arn_forbid_qualifier(name_or_arn)
    versions = self._functions[latest.function_name]["versions"]
    before, last = len(versions), getattr(latest, "last_version", 0)
    version = publish(self, name_or_arn, description)
    if len(versions) > before:
        if version.version <= last:
            version.set_version(last + 1)
            self._arns[version.function_arn] = version
        latest.last_version = version.version
    return version


Functions.publish_version = publish_with_new_number

function_code, layer_version = LambdaFunction.get_code, LayerVersion.get_layer_version


def location(source):
    # The code of functions and layers is where it came from. On AWS, it is in a bucket of Lambda's.
    return "/".join(("https://s3.amazonaws.com", source["S3Bucket"], source["S3Key"]))


def function_with_location(self):
    found = function_code(self)
    if "S3Key" in self.code and "S3Bucket" in self.code:
        found["Code"]["Location"] = location(self.code)
    return found


def layer_with_location(self):
    found = layer_version(self)
    if "S3Key" in self.content:
        found["Content"]["Location"] = location(self.content)
    return found


LambdaFunction.get_code = function_with_location
LayerVersion.get_layer_version = layer_with_location

main(sys.argv[1:])
