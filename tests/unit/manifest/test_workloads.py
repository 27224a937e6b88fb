"""Deployments, DaemonSets, Jobs and CronJobs as people have them."""

import pytest

from podsupd.manifest import parse
from podsupd.model.spec import CronSpec, JobSpec, RestartPolicy, RestartRule

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 1
  strategy: {type: RollingUpdate}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {a: b}}
    spec:
      containers:
      - {name: c, image: nginx, ports: [{containerPort: 80, hostPort: 8080}]}
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {name: web}
spec: {update: {}}
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: pi}
spec:
  backoffLimit: 4
  ttlSecondsAfterFinished: 100
  activeDeadlineSeconds: 60
  template:
    spec:
      restartPolicy: Never
      activeDeadlineSeconds: 90
      containers:
      - name: pi
        image: perl:5.34.0
        command: ["perl", "-Mbignum=bpi", "-wle", "print bpi(2000)"]
"""


def test_a_deployment_is_the_pod_of_its_template() -> None:
    """The pod has the Deployment's name and the template's labels; a PodPolicy is for it as for any pod."""
    parsed = parse(DEPLOYMENT, "m.yaml")
    assert parsed.errors == ()
    (pod,) = parsed.pods
    assert (pod.name, dict(pod.labels), dict(pod.annotations)) == ("web", {"app": "web"}, {"a": "b"})
    assert [c.runtime_name for c in pod.containers] == ["web-c"]
    assert pod.update is not None
    assert pod.job is None
    assert [str(w) for w in parsed.warnings] == [
        "m.yaml:6: spec.strategy: ignored: there is one pod: write a PodPolicy with update"
    ]


def test_a_daemon_set_is_one_pod_too() -> None:
    """Every node is this one."""
    text = DEPLOYMENT.replace("kind: Deployment", "kind: DaemonSet").replace("  replicas: 1\n", "")
    text = text.replace("strategy", "updateStrategy")
    assert [p.name for p in parse(text, "m.yaml").pods] == ["web"]


def test_kubernetes_own_example_of_a_job() -> None:
    """A Job that makes a new pod for each try has its containers made anew, as often as backoffLimit bears."""
    (pod,) = parse(JOB, "m.yaml").pods
    assert pod.job == JobSpec(4, 100.0)
    assert pod.active_deadline_s == 60.0
    assert pod.restart_policy is RestartPolicy.ON_FAILURE
    assert pod.backoff.recreate_after_failures == 1


def test_a_job_bears_six_failures_unless_it_says_otherwise() -> None:
    """Kubernetes' default; without a time to live it stays until its manifest goes."""
    text = JOB.replace("  backoffLimit: 4\n", "").replace("  ttlSecondsAfterFinished: 100\n", "")
    (pod,) = parse(text.replace("Never", "OnFailure"), "m.yaml").pods
    assert pod.job == JobSpec(6, None)
    assert pod.backoff.recreate_after_failures == 5


@pytest.mark.parametrize(("operator", "code", "holds"), [("In", 3, True), ("In", 4, False), ("NotIn", 4, True)])
def test_restart_rules_are_for_exit_codes(operator: str, code: int, holds: bool) -> None:  # noqa: FBT001
    """A container may be restarted for some codes and not for others."""
    text = DEPLOYMENT.replace(
        "{name: c, image: nginx,",
        f"{{name: c, image: nginx, restartPolicy: Never, restartPolicyRules: "
        f"[{{action: Restart, exitCodes: {{operator: {operator}, values: [3]}}}}],",
    )
    (pod,) = parse(text, "m.yaml").pods
    assert pod.containers[0].restart_rules == (RestartRule(frozenset({3}), operator == "In"),)
    assert pod.containers[0].restart_rules[0].holds(code) is holds


CRON_JOB = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: hello}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      backoffLimit: 2
      template:
        spec:
          containers:
          - name: hello
            image: busybox:1.28
            imagePullPolicy: IfNotPresent
            command: [/bin/sh, -c, date; echo Hello from the Kubernetes cluster]
          restartPolicy: OnFailure
"""


def test_the_cron_job_of_kubernetes_own_page_is_read() -> None:
    """With Kubernetes' defaults; concurrencyPolicy is not asked about where it is not given."""
    parsed = parse(CRON_JOB, "m.yaml")
    assert (parsed.errors, parsed.warnings) == ((), ())
    (pod,) = parsed.pods
    assert (pod.name, pod.job, pod.cron) == ("hello", JobSpec(2), CronSpec("* * * * *"))
    assert pod.restart_policy is RestartPolicy.ON_FAILURE


def test_all_that_a_cron_job_says_of_its_runs_is_taken() -> None:
    """A macro is its five fields; what cannot be had beside each other is told."""
    more = """schedule: "@weekly"
  timeZone: Europe/Berlin
  concurrencyPolicy: Replace
  suspend: true
  startingDeadlineSeconds: 60
  successfulJobsHistoryLimit: 0
  failedJobsHistoryLimit: 0"""
    (pod,) = parse(CRON_JOB.replace('schedule: "* * * * *"', more), "m.yaml").pods
    assert pod.cron == CronSpec("0 0 * * 0", "Europe/Berlin", True, 60.0, True, False, False)
    parsed = parse(CRON_JOB.replace("  jobTemplate", "  concurrencyPolicy: Allow\n  jobTemplate"), "m.yaml")
    (warning,) = parsed.warnings
    assert (warning.line, warning.path) == (6, "spec.concurrencyPolicy")
    assert warning.message.startswith("taken as Forbid: a run that is due waits for the end of the one before")


@pytest.mark.parametrize(
    ("schedule", "read"),
    [
        ("0 0 ? * ?", "0 0 * * *"),
        ("*/5 */2 */2 * 1", "*/5 */2 1-31/2 * 1"),
        ("0 0 1,*/10 * */2", "0 0 1,1-31/10 * 0-6/2"),
        ("0 0 */1 * 5", "0 0 */1 * 5"),
        ("@daily", "0 0 * * *"),
    ],
)
def test_a_schedule_means_what_kubernetes_means_by_it(schedule: str, read: str) -> None:
    """Every second day and Mondays, where both are written: it runs on the days on which it runs on a cluster."""
    (pod,) = parse(CRON_JOB.replace("* * * * *", schedule), "m.yaml").pods
    assert pod.cron == CronSpec(read)
