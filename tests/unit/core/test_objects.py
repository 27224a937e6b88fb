"""ConfigMaps and Secrets of the directory: which are in force, who gets them, and what happens without them."""

from dataclasses import replace

from core.directory import DIR, after, pod, scan, state
from core.world import CLIENT, POD, WEB, World, kinds

from podsupd.core.desired import settle
from podsupd.model.desired import DirectoryScan, FileState, FileStatus, ParsedFile, ScannedFile
from podsupd.model.observed import POD_IP_LABEL
from podsupd.model.plan import CreateContainer
from podsupd.model.references import EnvFrom, KeyRef, ObjectKind, ObjectSpec
from podsupd.model.spec import PodSpec

MAP = ObjectKind.CONFIG_MAP


def user(path: str, name: str, *, optional: bool = False) -> PodSpec:
    """Return a pod whose container takes its environment from the ConfigMap app."""
    made = pod(path, name)
    container = replace(made.containers[0], env_from=(EnvFrom(MAP, "app", optional=optional),))
    return replace(made, containers=(container,))


def config(path: str, value: bytes = b"1", *, immutable: bool = False, name: str = "app") -> ObjectSpec:
    """Return a ConfigMap of one key."""
    return ObjectSpec(MAP, name, f"{DIR}/{path}", 2, {"A": value}, immutable=immutable)


def holding(path: str, *declared: PodSpec | ObjectSpec, busy: bool = False) -> ScannedFile:
    """Return a scanned file that declares pods and objects."""
    if busy:
        return ScannedFile(f"{DIR}/{path}", FileStatus.BUSY, message="being written")
    pods = tuple(one for one in declared if isinstance(one, PodSpec))
    objects = tuple(one for one in declared if isinstance(one, ObjectSpec))
    text = f"{declared!r}{[o.data for o in objects]}"
    return ScannedFile(f"{DIR}/{path}", FileStatus.READ, text, ParsedFile(pods, objects=objects))


def seen(*files: ScannedFile) -> DirectoryScan:
    """Return a scan of these files."""
    return DirectoryScan(DIR, (1, 10), files)


def test_a_pod_gets_what_it_refers_to_from_any_file() -> None:
    """A ConfigMap may stand in a file of its own, before or after the pods that use it."""
    desired = after(seen(holding("a.yaml", user("a.yaml", "a")), holding("z.yaml", config("z.yaml"))))
    assert [o.name for o in desired.pods["a"].objects] == ["app"]
    assert state(desired, "z.yaml") is FileState.LOADED
    assert desired.shielded == frozenset()
    unrelated = after(seen(holding("a.yaml", pod("a.yaml", "a")), holding("z.yaml", config("z.yaml"))))
    assert unrelated.pods["a"].objects == ()


def test_a_missing_object_is_a_warning_on_the_file_that_needs_it() -> None:
    """`podsupd check` and the status of the files say what a pod waits for; what is optional is not missed."""
    desired = after(seen(holding("a.yaml", user("a.yaml", "a"))))
    (warning,) = desired.files[f"{DIR}/a.yaml"].warnings
    assert str(warning).startswith(f'{DIR}/a.yaml:3: spec.containers[0]: configmap "app" not found')
    optional = after(seen(holding("a.yaml", user("a.yaml", "a", optional=True))))
    assert optional.files[f"{DIR}/a.yaml"].warnings == ()


def test_an_object_that_vanishes_stays_for_one_scan_more() -> None:
    """A file that is replaced by hand, or half copied, takes no value away from the pods that run."""
    both = seen(holding("a.yaml", user("a.yaml", "a")), holding("z.yaml", config("z.yaml"), config("z.yaml", name="b")))
    half = seen(holding("a.yaml", user("a.yaml", "a")), holding("z.yaml", config("z.yaml", name="b")))
    gone = seen(holding("a.yaml", user("a.yaml", "a")))
    for second in (half, gone):
        once = after(both, second)
        assert [o.name for o in once.pods["a"].objects] == ["app"]
        assert settle(once, second).pods["a"].objects == ()


def test_a_broken_file_keeps_its_objects() -> None:
    """A typing error in a ConfigMap's file changes nothing until it is mended."""
    good = seen(holding("a.yaml", user("a.yaml", "a")), holding("z.yaml", config("z.yaml")))
    desired = after(good)
    for broken in (
        ScannedFile(f"{DIR}/z.yaml", FileStatus.UNREADABLE, message="cannot read the file: Permission denied"),
        holding("z.yaml", busy=True),
    ):
        kept = settle(desired, seen(holding("a.yaml", user("a.yaml", "a")), broken))
        assert [o.data for o in kept.pods["a"].objects] == [{"A": b"1"}]


def test_a_directory_that_cannot_be_read_keeps_everything() -> None:
    """An unmounted directory takes neither pods nor their values away."""
    desired = after(seen(holding("a.yaml", user("a.yaml", "a")), holding("z.yaml", config("z.yaml"))))
    lost = settle(desired, DirectoryScan(DIR, None, (), "cannot read the manifest directory"))
    assert [o.name for o in lost.pods["a"].objects] == ["app"]


def test_two_files_cannot_declare_one_object() -> None:
    """The second declaration is an error that names the first, which stays in force."""
    first = seen(holding("a.yaml", user("a.yaml", "a")), holding("y.yaml", config("y.yaml")))
    second = seen(*first.files, holding("b.yaml", config("b.yaml", b"2")))
    desired = after(first, second)
    (error,) = desired.files[f"{DIR}/b.yaml"].errors
    assert error.message == (
        f'cannot load the ConfigMap "app": {DIR}/y.yaml:2 declares it already: rename or remove one of them'
    )
    assert [o.data for o in desired.pods["a"].objects] == [{"A": b"1"}]


def test_a_renamed_file_takes_its_objects_along() -> None:
    """Renaming a file of ConfigMaps changes nothing for the pods, not even for a moment."""
    user_file = holding("a.yaml", user("a.yaml", "a"))
    desired = after(seen(user_file, holding("y.yaml", config("y.yaml"))))
    moved = settle(desired, seen(user_file, holding("z.yaml", config("z.yaml"))))
    assert [o.path for o in moved.pods["a"].objects] == [f"{DIR}/z.yaml"]
    assert f"{DIR}/y.yaml" not in moved.files


def test_what_is_immutable_is_not_changed() -> None:
    """A slip in an object that was declared immutable is refused, and the old values stay in force."""
    user_file = holding("a.yaml", user("a.yaml", "a"))
    desired = after(
        seen(user_file, holding("z.yaml", config("z.yaml", immutable=True))),
        seen(user_file, holding("z.yaml", config("z.yaml", b"2", immutable=True))),
    )
    (error,) = desired.files[f"{DIR}/z.yaml"].errors
    assert "cannot change the ConfigMap app: it is immutable" in error.message
    assert [o.data for o in desired.pods["a"].objects] == [{"A": b"1"}]


def test_all_files_gone_at_once_are_held_with_their_objects() -> None:
    """An emptied directory is an accident: the ConfigMaps stay in force as the pods do."""
    desired = after(
        seen(holding("a.yaml", user("a.yaml", "a")), holding("z.yaml", config("z.yaml"))), scan(), scan(), scan()
    )
    assert [o.name for o in desired.pods["a"].objects] == ["app"]
    assert desired.held.keys() == {"a", f"{DIR}/z.yaml"}


NEEDS = replace(POD, containers=(replace(WEB, env=(("A", KeyRef(MAP, "app", "A")),)), CLIENT))


def with_app(value: bytes) -> PodSpec:
    """Return the pod with the ConfigMap that it needs."""
    return replace(NEEDS, objects=(config("z.yaml", value),))


def test_a_container_waits_for_its_config_and_the_others_do_not() -> None:
    """The pod comes up without the container whose ConfigMap is missing, which says what it waits for."""
    world = World(want=NEEDS)
    for _ in range(5):
        made = world.turn()
    assert made.waiting["web"][0] == "CreateContainerConfigError"
    assert made.waiting["web"][1].startswith('configmap "app" not found')
    assert [a.container.name for a in world.done if isinstance(a, CreateContainer)] == ["client"]
    world.want = with_app(b"1")
    world.settle()
    assert world.named("web").state.alive


def test_a_config_that_goes_takes_nothing_down() -> None:
    """A running container stays as it is when its ConfigMap is removed, and when its image is edited meanwhile."""
    world = World(want=with_app(b"1"))
    world.settle()
    world.done.clear()
    web, client = NEEDS.containers
    world.want = replace(NEEDS, containers=(replace(web, args=("edited",)), client))
    assert world.settle().settled
    world.want = replace(world.want, share_process_namespace=False)
    made = world.turn()
    assert made.waiting[""][0] == "CreateContainerConfigError"
    assert kinds(world) == []


def test_a_changed_value_makes_only_its_container_anew() -> None:
    """An edit of a ConfigMap reaches the environment of who uses it; the neighbour is not touched."""
    world = World(want=with_app(b"1"))
    world.settle()
    neighbour = world.named("client").incarnation
    world.done.clear()
    world.want = with_app(b"2")
    world.settle()
    assert [a.container.name for a in world.done if isinstance(a, CreateContainer)] == ["web"]
    assert world.named("client").incarnation == neighbour


def test_a_container_that_was_told_another_address_is_made_anew() -> None:
    """After the pod's network was made anew a variable of status.podIP is right again."""
    world = World()
    world.settle()
    assert world.seen is not None
    web = world.named("web")
    world.seen = replace(world.seen, ip="10.88.0.9")
    world.change(web.id, lambda c: replace(c, labels={**c.labels, POD_IP_LABEL: "10.88.0.9"}))
    assert world.settle().settled
    world.done.clear()
    world.seen = replace(world.seen, ip="10.88.0.10")
    world.settle()
    assert [a.container.name for a in world.done if isinstance(a, CreateContainer)] == ["web"]
