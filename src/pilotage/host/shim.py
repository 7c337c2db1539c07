"""The parent of one detached process: it keeps the exit status, bounds the log, enforces the time limit.

A deploy tool leaves; the processes that it started stay. This file is run as a program, by
`pilotage.host.launch`, in an isolated interpreter (``python -I -S``, about 10 MB), and imports the
standard library alone, so that an upgrade or a removal of pilotage does not touch what runs.

The order holds a promise: the shim says who it is, waits until its caller has *recorded* that, and only
then starts the program. A caller that dies before has started nothing. The shim leads a session of
its own; the program leads a process group of its own in it, so that a signal to the group reaches
the program and all its children, and the shim lives on to write down how it ended. What the program
leaves behind in its group when it ends is ended too, as the end of a container would.

Called as ``shim.py FD MODE TITLE`` (the title is for `ps`). Over the socket FD: to the caller
``{"pid", "start", "boot"}``; from it the job, then end of file (an empty job: start nothing); to it
``{"pid", "start", "boot"}`` of the program or ``{"errno", "error"}``, and in ``attached`` mode (the
caller's terminal is the program's, and it dies with the caller) the final status as well.
"""

# pathlib would double the start-up and the memory of the shim of every instance:
# ruff: noqa: PTH104, PTH108, PTH118, PTH123, PTH208
from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

LOG_CHECK = 2.0  # seconds between two looks at the size of the log
POLL = 0.05  # seconds between two looks at what is left of the process group

# Python ignores two signals, and a caller may have ignored others: the program gets them all back.
DEFAULTS = tuple(
    sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})  # these two have no handler
)


def main() -> None:
    """Run one program, and write down how it ended."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    attached = sys.argv[2] == "attached"
    # A caller may ignore or block signals, and that is inherited.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        # A terminal sends them to the program as well; the shim outlives it.
        signal.signal(number, signal.SIG_IGN)
    if not attached:
        if os.fork():
            os._exit(0)
        os.setsid()
    with contextlib.suppress(OSError):
        send(control, identity(os.getpid()))
        if job := receive(control):
            Shim(json.loads(job), control, attached=attached).run()


class Shim:
    """One program's life, from its start to the last of its process group."""

    def __init__(self, job: Mapping[str, Any], control: socket.socket, *, attached: bool) -> None:
        self.job = job
        self.control = control
        self.attached = attached
        self.group = 0
        self.log = -1
        self.started = time.monotonic()
        self.timed_out = False

    def run(self) -> None:
        """Start, say so, wait, write the status, end what is left."""
        status: dict[str, Any] = {"started_at": time.time()}
        try:
            pid = self.start()
        except OSError as error:
            send(self.control, {"errno": error.errno, "error": str(error)})
            return
        self.group = 0 if self.attached else pid
        status["main"] = identity(pid)
        try:
            self.write(status)
        except OSError as error:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            send(self.control, {"errno": error.errno, "error": f"its status: {error.strerror}"})
            return
        signal.signal(signal.SIGTERM, lambda *_: self.kill(pid, signal.SIGTERM))
        with contextlib.suppress(OSError):  # the caller may be gone; the program stays
            send(self.control, status["main"])
        if not self.attached:
            self.control.close()
        self.wait(pid)
        ended = os.waitid(os.P_PID, pid, os.WEXITED)
        assert ended is not None
        killed = ended.si_code != os.CLD_EXITED
        status |= {
            "ended_at": time.time(),
            "exit": None if killed else ended.si_status,
            "signal": ended.si_status if killed else None,
            "timed_out": self.timed_out,
        }
        # A full disk loses the status, not the end.
        with contextlib.suppress(OSError):
            self.write(status)
        if self.attached:
            with contextlib.suppress(OSError):
                send(self.control, status)
        else:
            self.end_group()

    def start(self) -> int:
        """Start the program; its pid."""
        job = self.job
        os.chdir(job["cwd"])
        argv = [os.fsencode(word) for word in job["argv"]]
        env = {os.fsencode(key): os.fsencode(value) for key, value in job["env"].items()}
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
        options: dict[str, Any] = {}
        if not self.attached:
            self.log = os.open(
                job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, self.log, 1),
                (os.POSIX_SPAWN_DUP2, self.log, 2),
            ]
            options = {"setpgroup": 0}
        missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), job["argv"][0])
        for path in candidates(argv[0], env):
            try:
                return os.posix_spawn(
                    path,
                    argv,
                    env,
                    file_actions=actions,
                    setsigmask=(),
                    setsigdef=DEFAULTS,
                    **options,
                )
            except (FileNotFoundError, NotADirectoryError):
                continue
        raise missing

    def write(self, status: dict[str, Any]) -> None:
        """Write the status file, whole."""
        path = self.job["status"]
        beside = f"{path}.tmp"
        try:
            with open(beside, "w", opener=private) as file:
                json.dump(status, file)
                file.flush()
                os.fsync(file.fileno())
            os.rename(beside, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise

    def wait(self, pid: int) -> None:
        """Wait for the end of the program (it stays a zombie, so that its pid stays its own)."""
        grace: float = self.job["grace"]
        deadline = self.started + self.job["timeout"] if self.job["timeout"] else None
        killing = False
        poll = select.poll()
        pidfd = os.pidfd_open(pid)
        poll.register(pidfd, select.POLLIN)
        if self.attached:
            poll.register(self.control, select.POLLIN | select.POLLHUP)
        while True:
            limit = LOG_CHECK if deadline is None else min(LOG_CHECK, deadline - time.monotonic())
            ready = {descriptor for descriptor, _ in poll.poll(max(limit, 0) * 1000)}
            if pidfd in ready:
                os.close(pidfd)
                return
            if ready:  # the caller is gone
                poll.unregister(self.control)
                self.kill(pid, signal.SIGHUP)
                deadline, killing = time.monotonic() + grace, True
            elif deadline is not None and time.monotonic() >= deadline:
                self.kill(pid, signal.SIGKILL if killing else signal.SIGTERM)
                self.timed_out = self.timed_out or not killing
                deadline, killing = (None if killing else time.monotonic() + grace), True
            self.bound_log()

    def bound_log(self) -> None:
        """Keep at most two files of ``log_limit`` bytes: the log is copied to ``.1``, and emptied.

        Emptied in place, because the program writes to it by itself: a pipe through the shim would
        let the death of the shim kill the program. The lines of that moment may be lost.
        """
        if self.log < 0 or os.fstat(self.log).st_size <= self.job["log_limit"]:
            return
        with contextlib.suppress(OSError):
            older = f"{self.job['log']}.1"
            with open(self.job["log"], "rb") as source, open(older, "wb", opener=private) as copy:
                while block := source.read(1 << 20):
                    copy.write(block)
        with contextlib.suppress(OSError):
            os.ftruncate(self.log, 0)

    def end_group(self) -> None:
        """SIGTERM, grace, SIGKILL for what the program left behind in its process group."""
        self.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + self.job["grace"]
        while self.signal_group(0) and living(self.group):
            if time.monotonic() >= deadline:
                self.signal_group(signal.SIGKILL)
            time.sleep(POLL)

    def kill(self, pid: int, number: int) -> None:
        """Signal the program, with its process group where it leads one."""
        if self.group:
            self.signal_group(number)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def signal_group(self, number: int) -> bool:
        """Signal the group; False when nobody is left in it."""
        try:
            os.killpg(self.group, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # somebody is left who changed user: nothing that we can end
            return False
        return True


def living(group: int) -> bool:
    """Whether anybody in the process group is more than a zombie (which nobody may be there to reap)."""
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                fields = stat_fields(entry)
                if fields[2] == b"%d" % group and fields[0] not in (b"Z", b"X"):
                    return True
    return False


def stat_fields(pid: str | int) -> list[bytes]:
    """``/proc/PID/stat`` from the state on: the name before it may hold anything."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        stat = file.read()
    return stat[stat.rindex(b")") + 2 :].split()


def candidates(name: bytes, env: Mapping[bytes, bytes]) -> list[bytes]:
    """Where the program may be: as it stands when it has a slash, else along *its* PATH."""
    if b"/" in name:
        return [name]
    folders = env.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    return [os.path.join(folder or b".", name) for folder in folders]


def private(path: str, flags: int) -> int:
    """Open a file for its owner alone."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def identity(pid: int) -> dict[str, Any]:
    """A process as `pilotage.host.process.ProcessId` writes it."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return {"pid": pid, "start": int(stat_fields(pid)[19]), "boot": boot}


def send(control: socket.socket, message: dict[str, Any]) -> None:
    """One line of JSON to the caller."""
    control.sendall(json.dumps(message).encode() + b"\n")


def receive(control: socket.socket) -> bytes:
    """The one line that the caller sends; empty when it left without one."""
    data = b""
    while not data.endswith(b"\n"):
        block = control.recv(1 << 16)
        if not block:
            return b""
        data += block
    return data


if __name__ == "__main__":
    main()
