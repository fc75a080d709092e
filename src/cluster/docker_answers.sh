# The answers of a Docker that is too old for cAdvisor to use, and has the folder that it would assume.
docker=/var/lib/rancher/k3s/server/static/docker/v1.24
mkdir -p $docker
echo '{"DockerRootDir":"/var/lib/docker","ServerVersion":"0.0.0"}' >$docker/info
echo '{"Version":"0.0.0","ApiVersion":"1.24"}' >$docker/version
