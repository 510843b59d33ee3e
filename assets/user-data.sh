{{if .Linked -}}
# Docker lets a container reach the containers that it links, at the ports that they
# expose, and no other. It reads this setting when it starts. What the machine image
# sets stays. No container runs yet: the agent starts after this script.
python3 - <<'SCRIPT'
import json, os
path = "/etc/docker/daemon.json"
settings = json.load(open(path)) if os.path.exists(path) else {}
settings["icc"] = False
os.makedirs(os.path.dirname(path), exist_ok=True)
with open(path, "w") as file:
    json.dump(settings, file)
SCRIPT
systemctl restart --no-block docker.service
{{end -}}
{{if .Attributes -}}
{{if .Linked}}# Only instances with this attribute get tasks whose containers are linked.
{{end}}{{if or .Interfaces .Published}}# Tasks that need what is set up here run only on instances with these attributes.
{{end}}echo 'ECS_INSTANCE_ATTRIBUTES={{.Variable}}' >> /etc/ecs/ecs.config

{{end -}}
# Containers of one instance share its bridge, and the instance routes for them.
# Left alone, whoever breaks into one could reach the containers of the other
# services beside it, directly or by their ports on the instance, what else listens
# on the instance, and the instance's metadata with the credentials of its role.
# The launch template's hop limit of 1 keeps them from the metadata; these rules are
# the second lock, and the only one for the rest.
cat > /usr/local/sbin/isolate-containers <<'SCRIPT'
set -eu
# Have packets between two containers of a bridge pass the packet filter at all.
modprobe br_netfilter
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
# Each chain is replaced as a whole: nothing gets through meanwhile. From the
# instance a container needs answers, and the ECS agent's credentials endpoint:
# 169.254.170.2, which the agent has translated to this port before the rules see
# it. Everything to other machines, the load balancer among them, stays open.
{{if .Published}}# A connection to a published port has another destination by then: it is open.
{{end}}iptables-restore --wait --noflush <<'RULES'
*filter
:CONTAINER-TO-HOST - [0:0]
-A CONTAINER-TO-HOST -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A CONTAINER-TO-HOST -d 127.0.0.1/32 -p tcp --dport 51679 -j RETURN
-A CONTAINER-TO-HOST -j DROP
:CONTAINER-FORWARD - [0:0]
-A CONTAINER-FORWARD -d 169.254.169.254/32 -j DROP
{{if .Published}}-A CONTAINER-FORWARD -m conntrack --ctstate DNAT -j ACCEPT
{{end}}{{if not .Linked}}-A CONTAINER-FORWARD -i docker0 -o docker0 -j DROP
{{end}}COMMIT
RULES
first() {
  iptables --wait --check "$@" 2>/dev/null || iptables --wait --insert "$@"
}
first INPUT -i docker0 -j CONTAINER-TO-HOST
first DOCKER-USER -j CONTAINER-FORWARD
{{if .Linked -}}
# Without Docker's setting nothing would keep the containers apart. Then this fails.
docker network inspect bridge | grep --quiet '"com.docker.network.bridge.enable_icc": "false"'
{{end -}}
SCRIPT

# The unit belongs to docker.service, which makes the chain DOCKER-USER: the rules
# are put back whenever Docker is restarted. ecs.service needs the unit: where the
# rules do not stand, the agent does not start and no container is placed.
cat > /etc/systemd/system/isolate-containers.service <<'UNIT'
[Unit]
Description=Keep containers apart, and away from the instance and its metadata
After=docker.service
Requires=docker.service
PartOf=docker.service
Before=ecs.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /usr/local/sbin/isolate-containers

[Install]
WantedBy=docker.service
RequiredBy=ecs.service
UNIT
systemctl daemon-reload
systemctl enable --now --no-block isolate-containers.service

# Containers log with their execution role: the instance's role may not write logs.
echo ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true >> /etc/ecs/ecs.config
# The most processes and threads of a task. Without a limit, one task could take all
# that the instance's kernel has. A service needs about ten.
echo ECS_TASK_PIDS_LIMIT=256 >> /etc/ecs/ecs.config
{{- if .Interfaces}}
# Tasks with a network interface of their own do not pass the rules above.
echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config
{{- end}}
