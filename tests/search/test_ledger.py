"""What agents have spent: one account for all processes, and never above a cap."""

import threading
import time

from collision.search import ledger as module
from collision.search.ledger import Caps, Ledger, Spent, read_lines


def test_who_asks_at_the_same_moment_gets_what_is_left_once(tmp_path, monkeypatch):
    def slowly(file):
        lines = list(read_lines(file))
        time.sleep(0.02)  # in which another one would read the same
        return iter(lines)

    monkeypatch.setattr(module, "read_lines", slowly)
    tickets = []

    def ask():
        own = Ledger(tmp_path, Caps(calls=5))
        for _ in range(4):
            tickets.append(own.ask_leave(0, Spent(1, 10, 0.1), 0).ticket)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tickets) == 24 and sum(map(bool, tickets)) == 5


def test_a_call_counts_as_reserved_until_it_is_settled(tmp_path):
    own = Ledger(tmp_path, Caps(tokens=1000))
    first = own.ask_leave(0, Spent(1, 600, 0.0), 2)
    assert first.ticket and first.retries == 2 and own.left() == {"tokens": 400}
    second = own.ask_leave(1, Spent(1, 600, 0.0), 2)
    assert (second.ticket, second.reached, second.is_news) == ("", "max_tokens=1000", True)
    assert not own.ask_leave(1, Spent(1, 600, 0.0), 2).is_news
    own.settle(first.ticket, 0, Spent(1, 100, 0.0), failed=False)
    assert own.left() == {"tokens": 900} and own.ask_leave(1, Spent(1, 600, 0.0), 2).ticket
    # Who is killed in a call leaves the reservation; another process reads the same.
    assert Ledger(tmp_path, Caps()).spent() == Spent(2, 700, 0.0)


def test_failures_in_a_row_are_an_agents_own(tmp_path):
    now = [0.0]
    own = Ledger(tmp_path, Caps(patience=2, pause=10.0), lambda: now[0])

    def call(agent, failed):
        leave = own.ask_leave(agent, Spent(1), 0)
        assert leave.ticket
        return own.settle(leave.ticket, agent, Spent(1), failed)

    assert [call(0, True), call(0, False), call(0, True), call(1, True), call(0, True)] == [
        *(1, 0, 1, 1, 2)
    ]
    assert own.ask_leave(0, Spent(1), 0).resting and not own.ask_leave(1, Spent(1), 0).resting
    now[0] = 10.0
    assert call(0, True) == 3 and own.ask_leave(0, Spent(1), 0).resting
    now[0] = 20.0
    assert call(0, False) == 0 and not own.ask_leave(0, Spent(1), 0).resting
