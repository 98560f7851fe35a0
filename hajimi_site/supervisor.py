"""Many processes on one socket: starts them, starts dead ones anew, replaces them one by one, ends them all."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Final

from django.core.exceptions import ImproperlyConfigured

from hajimi_site.peers import notice_the_gone

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
# A worker that has lived so long had no trouble at its start: the pauses begin anew.
SETTLED_SECONDS: Final = 60.0
START_SECONDS: Final = 120.0
# What a worker may need after DRAIN_SECONDS: then it ends itself, see hajimi_site.server.
FAREWELL_SECONDS: Final = 36.0
BACKLOG: Final = 1024

# One byte each way: the worker says that it listens, the supervisor that the worker is to go in peace.
READY: Final = b"+"
RETIRE: Final = b"-"

logger = logging.getLogger("hajimi.supervisor")


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address, for children to take over. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With the protocol named, asyncio sends small answers at once; without, each waits for the one before.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    notice_the_gone(bound)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def why_not(host: str, port: int, error: Exception) -> str:
    """Return why an address cannot be listened on, and which variable to change."""
    is_the_port = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
    advice = "PORT must be a free port" if is_the_port else "HOST must be an address of this machine"
    return f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}; {advice}"


class _NotSpawnedError(Exception):
    """A process cannot be started; the message is the system's."""


class Worker:
    """One process that serves. It ends by itself when its supervisor is gone: the channel between them says so."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.number = number
        self.process = process
        self.began = asyncio.get_running_loop().time()
        self._channel = channel
        self._channel.setblocking(False)
        self.ended = asyncio.create_task(self._wait())

    @property
    def pid(self) -> int:
        """Its process number."""
        return self.process.pid

    @property
    def age(self) -> float:
        """For how many seconds it has lived."""
        return asyncio.get_running_loop().time() - self.began

    async def ready(self, seconds: float = START_SECONDS) -> bool:
        """Wait until it listens; False when it ended, or took too long and was killed."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().sock_recv(self._channel, 1) == READY
        except (TimeoutError, OSError):
            self.signal(signal.SIGKILL)
            return False

    def retire(self) -> None:
        """Let it take no new connection, and end when those that it has are done."""
        try:
            self._channel.send(RETIRE)
        except OSError:
            # It ends already.
            return

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.process.returncode is None:
            try:
                self.process.send_signal(number)
            except ProcessLookupError:
                return

    async def _wait(self) -> int:
        code = await self.process.wait()
        self._channel.close()
        return code


class Supervisor:
    """Keeps ``count`` workers serving ``listener``. ``command`` starts one; it gets the two descriptors as arguments.

    SIGTERM and SIGINT end all workers, each with its drain; what is left after ``patience_seconds`` is killed. SIGHUP
    replaces the workers one by one: the old one goes when the new one listens, so no client is refused. Where a worker
    cannot go like that, ``no_rolling`` says so in words, and SIGHUP only logs it.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        listener: socket.socket,
        *,
        environment: Mapping[str, str],
        patience_seconds: float,
        on_ready: Callable[[int], None],
        no_rolling: str = "",
    ) -> None:
        self._command = command
        self._count = count
        self._listener = listener
        self._environment = environment
        self._patience_seconds = patience_seconds
        self._on_ready = on_ready
        self._no_rolling = no_rolling
        # Who serves now under each number, and every process that has not ended, retired and starting ones too.
        self._workers: dict[int, Worker] = {}
        self._alive: set[Worker] = set()
        self._retired: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._signals = 0
        self._is_rolling = False
        self._rolls_wanted = 0

    async def run(self) -> None:
        """Serve until a signal ends it. Raises ImproperlyConfigured when the workers cannot start."""
        self._stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_roll_signal)
        try:
            await self._start_all()
            await self._stopping.wait()
        finally:
            await self._end_all()

    # Starting

    async def _start_all(self) -> None:
        try:
            workers = [await self._spawn(number) for number in range(1, self._count + 1)]
        except _NotSpawnedError as error:
            raise ImproperlyConfigured(f"no process that serves can be started ({error}).") from None
        self._workers = {worker.number: worker for worker in workers}
        starting = asyncio.create_task(_all_ready(workers))
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            return
        stopped.cancel()
        if not starting.result():
            raise ImproperlyConfigured("a process that should serve has ended at its start; its reason stands above.")
        for worker in workers:
            self._guard(worker)
        self._on_ready(self._listener.getsockname()[1])

    async def _spawn(self, number: int, *more: str) -> Worker:
        """Return a new worker. Raises _NotSpawnedError when the machine has no room for one now."""
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    process = await self._process(number, theirs, *more)
                except BaseException:
                    # Should it live all the same, it ends now: nobody is at this end.
                    ours.close()
                    raise
        except (OSError, RuntimeError) as error:
            # Where asyncio waits for processes in threads, a RuntimeError says that no thread can be started.
            raise _NotSpawnedError(getattr(error, "strerror", None) or error) from None
        worker = Worker(number, process, ours)
        self._alive.add(worker)
        worker.ended.add_done_callback(lambda _: self._alive.discard(worker))
        return worker

    async def _process(self, number: int, channel: socket.socket, *more: str) -> asyncio.subprocess.Process:
        descriptors = (self._listener.fileno(), channel.fileno())
        return await asyncio.create_subprocess_exec(
            *self._command,
            *("--listener", str(descriptors[0]), "--supervisor", str(descriptors[1]), "--number", str(number)),
            *more,
            pass_fds=descriptors,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            # A terminal's Ctrl-C is for us; we tell the workers.
            process_group=0,
        )

    # Keeping them

    def _guard(self, worker: Worker) -> None:
        self._keep(self._restart_when_dead(worker, FIRST_PAUSE_SECONDS))

    async def _restart_when_dead(self, worker: Worker, pause: float) -> None:
        while True:
            # A shield, for whoever is cancelled while waiting for a task would cancel it.
            code = await asyncio.shield(worker.ended)
            if worker in self._retired or self._stopping.is_set():
                self._retired.discard(worker)
                return
            pause = FIRST_PAUSE_SECONDS if worker.age > SETTLED_SECONDS else pause
            logger.error(
                "Process %d (pid %d) ended by itself (%s); another one starts in %g s.",
                *(worker.number, worker.pid, _how(code), pause),
            )
            new = None
            while new is None:
                await asyncio.sleep(pause)
                if self._workers[worker.number] is not worker:
                    # It was replaced meanwhile.
                    return
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                new = await self._spawned_again(worker.number, pause)
            worker = self._workers[worker.number] = new
            if await worker.ready():
                logger.info("Process %d serves again (pid %d).", worker.number, worker.pid)

    async def _spawned_again(self, number: int, pause: float) -> Worker | None:
        """Return a new worker, None when there can be none now."""
        try:
            return await self._spawn(number)
        except _NotSpawnedError as error:
            logger.error("Process %d cannot be started (%s); tried again in %g s.", number, error, pause)
            return None

    # Replacing them

    async def _roll(self) -> None:
        """Replace each worker by a new one; the first new one prepares the database for a new version."""
        logger.info("Replacing all processes, one by one.")
        for number in sorted(self._workers):
            try:
                new = await self._spawn(number, *(["--prepare"] if number == 1 else []))
            except _NotSpawnedError as error:
                logger.error("The new process %d cannot be started (%s); the old ones go on.", number, error)
                return
            if not await new.ready():
                logger.error("The new process %d did not start; the old ones go on.", number)
                return
            old, self._workers[number] = self._workers[number], new
            self._retired.add(old)
            old.retire()
            self._guard(new)
        logger.info("All processes are new; the old ones end when their last answers are through.")

    async def _roll_while_wanted(self) -> None:
        self._is_rolling = True
        try:
            while self._rolls_wanted and not self._stopping.is_set():
                self._rolls_wanted = 0
                await self._roll()
        finally:
            self._is_rolling = False

    def _on_roll_signal(self) -> None:
        if self._no_rolling:
            logger.error(self._no_rolling)
            return
        self._rolls_wanted += 1
        if not self._is_rolling:
            self._keep(self._roll_while_wanted())

    # Ending

    def _on_stop_signal(self) -> None:
        self._signals += 1
        self._stopping.set()
        if self._signals > 1:
            # The second one ends the waiting, here as in each worker.
            self._signal_all(signal.SIGTERM)

    async def _end_all(self) -> None:
        self._stopping.set()
        for task in list(self._tasks):
            task.cancel()
        self._listener.close()
        self._signal_all(signal.SIGTERM)
        if ends := {worker.ended for worker in self._alive}:
            _, late = await asyncio.wait(ends, timeout=self._patience_seconds)
            if late:
                logger.error("%d processes did not end in time; they are killed.", len(late))
                self._signal_all(signal.SIGKILL)
                await asyncio.wait(late)

    def _signal_all(self, number: int) -> None:
        for worker in list(self._alive):
            worker.signal(number)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _all_ready(workers: Sequence[Worker]) -> bool:
    return all(await asyncio.gather(*(worker.ready() for worker in workers)))


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
