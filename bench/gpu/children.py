"""Child processes that cannot stop a run: each has a process group of its own, which is killed as a whole, a time limit, and
a file for its standard error."""
import os
import pathlib
import re
import select
import signal
import subprocess
import threading
import time

MOST_ANSWER = 1 << 20  # bytes of one line
TAIL = 400             # characters of a log that a report repeats


def ending(code):
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with {code}"


def tail(path, count=TAIL):
    """The last lines of a log."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - count))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


class Children:
    """All processes that a run has started and not yet ended."""

    def __init__(self, logs, patience=1.0):
        self.patience = patience  # a factor on every limit; less than 1 in tests of the limits
        self.logs, self.live, self.count, self.lock, self.closed = pathlib.Path(logs), set(), 0, threading.Lock(), False
        self.logs.mkdir(parents=True, exist_ok=True)

    def log(self, name, kind="err"):
        with self.lock:
            self.count += 1
            return self.logs / f"{self.count:03}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)[:80]}.{kind}"

    def start(self, name, command, environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=None):
        """OSError where there is no such program. In a thread of its own, since signals are handled in the main one: none can
        come between the start of a process and its entry among the live ones."""
        log, outcome = self.log(name), []

        def start():
            try:
                with open(log, "wb") as errors, self.lock:
                    if self.closed:
                        raise OSError("the run is ending")
                    process = subprocess.Popen([str(word) for word in command], stdin=stdin, stdout=stdout, stderr=errors, env=environment, cwd=cwd,
                                               start_new_session=True, bufsize=0)
                    process.log = log
                    self.live.add(process)
                outcome.append(process)
            except Exception as error:
                outcome.append(error)

        thread = threading.Thread(target=start, daemon=True)
        thread.start()
        thread.join()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    @staticmethod
    def kill(process):
        """Kills the process and all that it started in its group, even where the process itself has ended."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def end(self, process, seconds=10):
        self.kill(process)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass  # it waits in the driver, where no signal reaches it
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        with self.lock:
            self.live.discard(process)

    def kill_all(self):
        """Kills all and starts no more. Returns those that were live."""
        with self.lock:
            self.closed, live = True, list(self.live)
        for process in live:
            self.kill(process)
        return live

    def end_all(self):
        for process in self.kill_all():
            self.end(process, 1)

    def run(self, name, command, seconds, environment, text=None, stdout=None, cwd=None):
        """Returns (exit code or None, why it failed, the file of its output). That file lies beside the log, or is `stdout`."""
        out = pathlib.Path(stdout) if stdout else self.log(name, "out")
        if seconds < 1:
            out.touch()
            return None, "no time was left", out
        seconds *= self.patience
        try:
            with open(out, "wb") as file:
                process = self.start(name, command, environment, stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL, stdout=file, cwd=cwd)
        except OSError as error:
            return 127, str(error), out
        try:
            process.communicate(text.encode() if text is not None else None, timeout=seconds)
            code = process.returncode
        except subprocess.TimeoutExpired:
            code = None
        self.end(process)
        if code == 0:
            return 0, "", out
        how = f"not done within {seconds:.0f} s" if code is None else ending(code)
        return code, f"{how}: {tail(process.log) or tail(out)}".rstrip(": "), out


class Worker:
    """A process that answers lines. It is ended, and `hung` set, where an answer does not come in time; `fault` says why it
    ended."""

    def __init__(self, children, name, command, environment):
        self.children, self.command, self.name = children, command, name
        self.fault, self.hung, self.buffer = None, False, b""
        self.sent = self.sent_at = self.took = None        # a line without an answer yet, when it was sent, seconds until the answer
        self.line = self.ready = self.ready_after = None   # the current case, the answer to its first line, seconds until that
        self.fresh = True                                  # has not answered yet: the first answer may take longer
        try:
            self.process = children.start(name, command, environment)
        except OSError as error:
            self.process, self.fault = None, str(error)

    def send(self, line):
        self.sent, self.sent_at, self.took = line, time.monotonic(), None
        if self.fault is None:
            try:
                self.process.stdin.write(line.encode() + b"\n")
            except OSError:
                pass  # it has ended; reading its answer finds out how

    def answers(self, seconds):
        """Waits for so many seconds at most. True where a whole line is there, or will never come."""
        end = time.monotonic() + max(0, seconds)
        while self.fault is None and b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                return False
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                self.end_with(None)
            self.buffer += more
            if len(self.buffer) > MOST_ANSWER:
                self.end_with(f"an answer of more than {MOST_ANSWER >> 20} MiB")
        if self.took is None and self.sent_at is not None:
            self.took = time.monotonic() - self.sent_at
        return True

    def end_with(self, why):
        """why: None where it ended by itself."""
        if why is None:
            try:
                why = ending(self.process.wait(2))
            except subprocess.TimeoutExpired:
                why = "closed its output"
        self.children.end(self.process)
        said = tail(self.process.log)
        self.fault = f"{why}: {said}" if said else why

    def ask(self, line, seconds):
        """The answer, or None where there is none: `fault` says why."""
        seconds *= self.children.patience
        if self.sent != line:
            self.send(line)
        if not self.answers(seconds - (time.monotonic() - self.sent_at) if self.sent_at else seconds):
            self.hung = True
            self.end_with(f"no answer within {seconds:.0f} s to: {line[:100]}")
        self.sent = None
        if self.fault is not None:
            return None
        answer, _, self.buffer = self.buffer.partition(b"\n")
        self.fresh = False
        return answer.decode(errors="replace")

    def begin(self, line, seconds):
        """The answer to the first line of a case. A case that has begun does not begin again."""
        if line != self.line or self.fault is not None:
            self.line, self.ready = line, self.ask(line, seconds)
            self.ready_after = self.took
        return self.ready

    def close(self):
        if self.process:
            self.children.end(self.process)
        self.fault = self.fault or "closed"
