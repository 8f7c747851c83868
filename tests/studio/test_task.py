import threading
import time

from equipoise.errors import BadInputError
from equipoise.studio.task import KEPT, Progress, Task, Tasks


def wait_for(task, state):
    until = time.monotonic() + 30
    while task.state != state and time.monotonic() < until:
        time.sleep(0.005)
    assert task.state == state


def work(steps=2, fail=None):
    for step in range(steps):
        yield Progress(step, steps, f"step {step}")
    if fail is not None:
        raise fail
    return "<b>done</b>"


def test_a_task_tells_how_far_it_is_and_ends_with_its_result():
    task = Task(work())
    assert task.describe()["state"] == "waiting"
    task.run()
    described = task.describe()
    assert (described["state"], described["html"]) == ("finished", "<b>done</b>")
    assert (described["done"], described["total"], described["doing"]) == (1, 2, "step 1")


def test_a_fault_of_the_user_is_told_and_one_of_ours_is_logged(caplog):
    task = Task(work(fail=BadInputError("no picture")))
    task.run()
    assert (task.state, task.error) == ("failed", "no picture [bad-input]")
    broken = Task(work(fail=KeyError("secret")))
    broken.run()
    assert broken.state == "failed"
    assert "secret" not in broken.error
    assert "secret" in caplog.text


def test_a_cancelled_task_ends_after_its_step_and_lets_go_of_its_work():
    started, closed = threading.Event(), threading.Event()

    def endless():
        try:
            while True:
                started.set()
                yield Progress(0, 1, "on and on")
        finally:
            closed.set()

    tasks = Tasks()
    task = tasks.find(tasks.start(endless()))
    assert started.wait(30)
    task.cancel()
    wait_for(task, "cancelled")
    assert closed.is_set()


def test_one_task_works_and_the_others_wait():
    gate = threading.Event()

    def held():
        yield Progress(0, 1, "held")
        gate.wait(30)
        return "first"

    tasks = Tasks()
    first = tasks.find(tasks.start(held()))
    wait_for(first, "running")
    second = tasks.find(tasks.start(work()))
    assert second.state == "waiting"
    gate.set()
    wait_for(second, "finished")
    assert first.html == "first"


def test_old_tasks_are_forgotten():
    tasks = Tasks()
    numbers = [tasks.start(work()) for _ in range(KEPT + 3)]
    assert [tasks.find(number) is None for number in numbers] == [True] * 3 + [False] * KEPT
