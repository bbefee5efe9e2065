"""What is handed out: units, and after deaths of processes their structures one by one."""

from __future__ import annotations

import tracemalloc
from collections import Counter

from relax.campaign.store.deaths import Deaths
from relax.campaign.store.rounds import Unit
from relax.campaign.work.queue import Queue


def unit(number, ids, cost=1.0):
    return Unit(number, 0, ids, cost)


def drain(queue):
    """Take all tasks out: the unit, its structures, whether alone, whether that counts."""
    return [(t.unit.number, t.ids, t.alone, t.counts) for t in [queue.next() for _ in range(len(queue))]]


def queue_of(*units, deaths=None):
    queue = Queue(deaths or Deaths())
    for each in units:
        queue.add(each, each.ids)
    return queue


def test_the_most_expensive_comes_first():
    queue = queue_of(unit(0, [0, 1]), unit(1, [2], 5.0), unit(2, [3, 4]))
    assert drain(queue) == [(1, (2,), False, True), (0, (0, 1), False, True), (2, (3, 4), False, True)]


def test_after_two_deaths_each_structure_is_relaxed_alone_and_then_all_together():
    queue = queue_of(unit(0, [0, 1]))
    task = queue.next()
    assert queue.died(task) == ()
    assert queue.died(queue.next()) == ()
    first, second = queue.next(), queue.next()
    assert (first.ids, first.alone, first.counts) == ((0,), True, False)
    queue.ended(first)
    assert not queue
    assert queue.died(second) == ()  # one death of it alone is not yet too many
    queue.ended(queue.next())
    assert drain(queue) == [(0, (0, 1), False, True)]


def test_a_structure_of_which_two_processes_die_is_lost_and_the_others_go_on():
    queue = queue_of(unit(0, [0, 1, 2]))
    queue.died(queue.next())
    queue.died(queue.next())
    lost = []
    while queue:
        task = queue.next()
        if not task.alone:
            break
        if task.ids == (1,):
            lost += queue.died(task)
        else:
            queue.ended(task)
    assert lost == [1]
    assert (task.ids, task.alone) == ((0, 2), False)
    queue.ended(task)
    assert not queue


def test_a_unit_that_dies_only_as_a_whole_is_relaxed_one_by_one_for_good():
    queue = queue_of(unit(0, [0, 1]))
    for _ in range(2):
        queue.died(queue.next())
    for _ in range(2):
        queue.ended(queue.next())
    for _ in range(2):
        assert queue.died(queue.next()) == ()
    assert drain(queue) == [(0, (0,), True, True), (0, (1,), True, True)]


def test_deaths_of_earlier_runs_count():
    deaths = Deaths(Counter({0: 2, 1: 1, 2: 2}), Counter({(0, 1): 1}), {(2, 5), (2, 6)})
    queue = queue_of(unit(0, [0, 1]), unit(1, [2, 3]), unit(2, [5, 6]), deaths=deaths)
    tasks = [queue.next() for _ in range(len(queue))]
    assert [(t.unit.number, t.ids, t.alone) for t in tasks] == [
        (0, (0,), True), (0, (1,), True), (1, (2, 3), False), (2, (5, 6), False),
    ]  # fmt: skip
    assert queue.died(tasks[1]) == (1,)
    queue.died(tasks[2])
    assert [t[2] for t in drain(queue)] == [True, True]


def test_what_is_given_back_is_no_death():
    queue = queue_of(unit(0, [0, 1]))
    for _ in range(5):
        queue.again(queue.next())
    assert drain(queue) == [(0, (0, 1), False, True)]


def test_a_million_structures_that_wait_take_little_memory():
    tracemalloc.start()
    queue = queue_of(*(unit(k, range(500 * k, 500 * k + 500)) for k in range(2000)))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(queue) == 2000
    assert taken < 4e6
    assert list(queue.next().ids) == list(range(500))
