# Containers on a bridge network are routed by the instance, so they could reach
# the instance's metadata service and with it the credentials of the instance's
# role. The launch template's hop limit of 1 stops them; this is the second
# lock. A unit that belongs to docker.service puts the rule back whenever Docker
# is restarted, and no container is placed before it stands: ecs.service waits.
cat > /etc/systemd/system/block-instance-metadata.service <<'UNIT'
[Unit]
Description=Keep containers away from the instance metadata service
After=docker.service
Requires=docker.service
PartOf=docker.service
Before=ecs.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'iptables --wait --check DOCKER-USER --destination 169.254.169.254/32 --jump DROP || iptables --wait --insert DOCKER-USER --destination 169.254.169.254/32 --jump DROP'

[Install]
WantedBy=docker.service
RequiredBy=ecs.service
UNIT
systemctl daemon-reload
systemctl enable --now --no-block block-instance-metadata.service
