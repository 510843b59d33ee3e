"""moto's server, with a mistake of version 5.2 corrected."""

import sys

from moto.ecs.models import EC2ContainerServiceBackend as ECS
from moto.server import main

check = ECS._validate_container_defs


@staticmethod
def check_without_launch_type(memory, container_definitions, requires_compatibilities):
    # A container on EC2 needs memory or memoryReservation. moto insists on the first as soon as a task definition says
    # that it requires EC2, and has the right check for all others.
    check(memory, container_definitions, None)


ECS._validate_container_defs = check_without_launch_type

main(sys.argv[1:])
