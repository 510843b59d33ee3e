"""Corrections of moto's topics, queues, event source mappings and streams. No message is delivered."""

import json

from moto.awslambda.models import LambdaBackend
from moto.dynamodb.exceptions import StreamAlreadyEnabledException
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.sns.models import SNSBackend, Subscription
from moto.sns.responses import SNSResponse
from moto.sqs.models import Queue, sqs_backends

topic_attributes, subscribe = SNSResponse.get_topic_attributes, SNSBackend.subscribe
subscription_attributes = SNSBackend.set_subscription_attributes


def topic_with_all_attributes(self):
    # moto keeps these attributes, and does not answer with them.
    found = topic_attributes(self)
    topic = self.backend.get_topic(self._get_param("TopicArn"))
    defaults = {"SignatureVersion": "1", "TracingConfig": "PassThrough"}
    if topic.fifo_topic:
        defaults["FifoThroughputScope"] = "MessageGroup"
    names = {"SignatureVersion": "signature_version", "TracingConfig": "tracing_config", "FifoThroughputScope": "fifo_throughput_scope"}
    for name, default in defaults.items():
        found.result["Attributes"][name] = getattr(topic, names[name], default)
    return found


def subscribe_unconfirmed(self, topic_arn, endpoint, protocol):
    # Whoever is behind an address or a URL has to confirm.
    subscription = subscribe(self, topic_arn, endpoint, protocol)
    if protocol in ("email", "email-json", "http", "https"):
        subscription.attributes["PendingConfirmation"] = True
        subscription.attributes["ConfirmationWasAuthenticated"] = False
    return subscription


def set_or_drop(self, arn, name, value):
    # An empty policy takes the policy away, and an unset attribute is not in the answer.
    if name == "RawMessageDelivery":
        value = value if isinstance(value, bool) else value == "true"
    elif value in ("", "{}"):
        value = ""
    subscription_attributes(self, arn, name, value)
    if value == "":
        self.subscriptions[arn].attributes.pop(name)


SNSResponse.get_topic_attributes = topic_with_all_attributes
SNSBackend.subscribe = subscribe_unconfirmed
SNSBackend.set_subscription_attributes = set_or_drop
Subscription.publish = lambda self, *args, **kwargs: None

set_attributes = Queue._set_attributes


def set_given_attributes(self, attributes, now=None):
    # Attributes that are not given stay. moto would drop the policy.
    given = dict(attributes)
    if "Policy" not in given and hasattr(self, "_policy_json"):
        given["Policy"] = json.dumps(self._policy_json)
    set_attributes(self, given, now)


Queue._set_attributes = set_given_attributes
Queue.redrive_allow_policy = None
Queue.BASE_ATTRIBUTES = Queue.BASE_ATTRIBUTES + ["RedriveAllowPolicy"]

make, change = LambdaBackend.create_event_source_mapping, LambdaBackend.update_event_source_mapping


def mapping_of(self, mapping, function):
    # The function is named as it was given, with its alias. The mapping reads nothing.
    latest = self._lambdas.get_function_by_name_or_arn_forbid_qualifier(mapping.function_arn.split(":function:")[1].split(":")[0])
    name = function.split(":function:")[-1]
    qualifier = name.partition(":")[2]
    mapping.function_arn = latest.function_arn + (":" + qualifier if qualifier else "")
    return mapping


def make_mapping(self, spec):
    mapping = mapping_of(self, make(self, spec), spec["FunctionName"])
    for queue in sqs_backends[self.account_id][self.region_name].queues.values():
        queue.lambda_event_source_mappings.clear()
    for table in dynamodb_backends[self.account_id][self.region_name].tables.values():
        table.lambda_event_source_mappings.clear()
    return mapping


def change_mapping(self, uuid, spec):
    mapping = change(self, uuid, spec)
    if mapping and "FunctionName" in spec:
        mapping.function_name = spec["FunctionName"]
        mapping_of(self, mapping, spec["FunctionName"])
    return mapping


LambdaBackend.create_event_source_mapping = make_mapping
LambdaBackend.update_event_source_mapping = change_mapping


def update_streams(self, table, specification):
    # A stream that was switched off may be switched on again, and is another one then.
    wanted = specification.get("StreamEnabled") or specification.get("StreamViewType")
    if wanted and (table.stream_specification or {}).get("StreamEnabled"):
        raise StreamAlreadyEnabledException
    table.set_stream_specification(specification)


DynamoDBBackend.update_table_streams = update_streams
