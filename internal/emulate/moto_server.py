"""moto's server, with the correction of a mistake in version 5.2, and with the configuration of Service Connect."""

import sys

from moto.ecs.models import EC2ContainerServiceBackend as ECS
from moto.server import main

check = ECS._validate_container_defs


@staticmethod
def check_without_launch_type(memory, container_definitions, requires_compatibilities):
    # A container on EC2 needs memory or memoryReservation. If a task definition requires EC2, moto insists on memory.
    # For all other task definitions, its check is right.
    check(memory, container_definitions, None)


ECS._validate_container_defs = check_without_launch_type

update = ECS.update_service


def update_with_connect(self, service_properties):
    # A deployment of a service has the configuration.
    connect = service_properties.get("service_connect_configuration")
    service = update(self, service_properties)
    if connect is not None:
        for deployment in service.deployments:
            deployment["serviceConnectConfiguration"] = connect
    return service


ECS.update_service = update_with_connect

main(sys.argv[1:])
