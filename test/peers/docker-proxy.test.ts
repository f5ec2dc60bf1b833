/** docker-proxy itself (Debian's docker.io) under the tests that tsportproxy passes in its place. */
import { existsSync } from "node:fs";
import t from "tap";
import { dockerProxyBehaviours } from "../support/portproxy-behaviours.ts";

const program = ["/usr/sbin/docker-proxy", "/usr/bin/docker-proxy", "/usr/libexec/docker/docker-proxy"].find(existsSync);
if (program) dockerProxyBehaviours(program);
else t.pass("no docker-proxy", { skip: "docker.io is not installed" });
