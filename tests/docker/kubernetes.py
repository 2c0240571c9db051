#!/usr/bin/python3
"""kubernetes.py: holds docker/kubernetes.yaml to what it refers to; says what is wrong.

  kubernetes.py FILE HELP    HELP is what weir serve --help says: it knows what can be set

Prints each path that is asked for, with its port.
"""
import re
import sys

import yaml


class Strict(yaml.SafeLoader):
    """Refuses a key that is given twice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


wrong = []


def hold(truth, what):
    if not truth:
        wrong.append(what)


def only(documents, kind):
    return [d for d in documents if d["kind"] == kind]


def check(path, help_path):
    with open(path, encoding="utf-8") as file:
        documents = list(yaml.load_all(file, Loader=Strict))
    apis = {"Secret": "v1", "ConfigMap": "v1", "Service": "v1", "Deployment": "apps/v1",
            "PodDisruptionBudget": "policy/v1", "ServiceMonitor": "monitoring.coreos.com/v1"}
    for d in documents:
        hold(apis.get(d["kind"]) == d["apiVersion"], f"{d['kind']} of {d['apiVersion']}")
        hold(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", d["metadata"]["name"]), "a name")
    hold(set(apis) == {d["kind"] for d in documents}, "not one of each kind")

    [deployment] = only(documents, "Deployment")
    spec = deployment["spec"]
    template = spec["template"]
    labels = template["metadata"]["labels"].items()
    pod = template["spec"]
    [container] = pod["containers"]
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    variables = {e["name"]: e for e in container["env"]}

    hold(spec["selector"]["matchLabels"].items() <= labels, "the deployment selects not its pods")
    for service in only(documents, "Service"):
        hold(service["spec"]["selector"].items() <= labels, "a service selects other pods")
        for port in service["spec"]["ports"]:
            hold(port["targetPort"] in ports, f"no container port is named {port['targetPort']}")
    for budget in only(documents, "PodDisruptionBudget"):
        hold(budget["spec"]["selector"]["matchLabels"].items() <= labels, "the budget's selector")
        hold(budget["spec"]["minAvailable"] < spec["replicas"], "no pod may ever be moved")
    for monitor in only(documents, "ServiceMonitor"):
        watched = [s for s in only(documents, "Service")
                   if monitor["spec"]["selector"]["matchLabels"].items()
                   <= s["metadata"]["labels"].items()]
        hold(len(watched) == 1, "the monitor does not watch one service")
        for endpoint in monitor["spec"]["endpoints"]:
            hold(endpoint["port"] in [p["name"] for s in watched for p in s["spec"]["ports"]],
                 f"the monitor's port {endpoint['port']}")
            print("probe", ports.get(endpoint["port"]), endpoint["path"])

    with open(help_path, encoding="utf-8") as file:
        told = file.read()
    for name, entry in variables.items():
        hold(re.search(rf"\b{name}\b", told), f"there is no variable {name}")
        if "valueFrom" in entry:
            reference = entry["valueFrom"]["secretKeyRef"]
            hold(any(s["metadata"]["name"] == reference["name"] and reference["key"] in s["stringData"]
                     for s in only(documents, "Secret")), f"the secret of {name}")
        else:
            hold(isinstance(entry["value"], str), f"{name} has to be text")
    hold(variables["WEIR_ADMIN_LISTEN"]["value"].endswith(f":{ports['admin']}"), "the admin port")

    for probe in "livenessProbe", "readinessProbe":
        get = container[probe]["httpGet"]
        hold(get["port"] in ports, f"{probe}: no port {get['port']}")
        print("probe", ports.get(get["port"]), get["path"])

    maps = [m["metadata"]["name"] for m in only(documents, "ConfigMap")]
    for volume in pod["volumes"]:
        hold(volume["configMap"]["name"] in maps, f"volume {volume['name']}")
    mounted = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    hold(mounted == {v["name"]: "/queries" for v in pod["volumes"]}, "what is mounted")

    inside, outside = container["securityContext"], pod["securityContext"]
    hold(outside["runAsNonRoot"] and outside["runAsUser"] > 0, "it may run as root")
    hold(inside["readOnlyRootFilesystem"], "its root can be written to")
    hold(not inside["allowPrivilegeEscalation"], "it may escalate")
    hold(inside["capabilities"]["drop"] == ["ALL"], "it keeps capabilities")
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    delay = int(variables["WEIR_DRAIN_DELAY"]["value"].removesuffix("s"))
    drain = 15  # --drain-timeout, and for what is cancelled then
    hold(pod["terminationGracePeriodSeconds"] >= wait + delay + drain, "it is killed too early")


check(sys.argv[1], sys.argv[2])
for what in wrong:
    print("kubernetes.py:", what, file=sys.stderr)
sys.exit(len(wrong) > 0)
