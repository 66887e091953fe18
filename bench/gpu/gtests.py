"""Kernel tests on the device, in many processes side by side, so that a fault of one does not hide the others."""
import json

from bench import ANSWER

SHARD = 15  # seconds


def listed(bench, program, filter):
    code, why, out = bench.run("tests, list", [program, f"--gtest_filter={filter}", "--gtest_list_tests"], 30)
    if code != 0:
        bench.fail("tests", why)
    tests, suite = [], ""
    for line in out.read_text(errors="replace").splitlines():
        name = line.split("#")[0].strip()
        if not line.startswith(" "):
            suite = name
        elif suite.endswith("."):
            tests.append(suite + name)
    return tests


def messages(path):
    """{test: the messages of its assertions}"""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {f"{suite['name']}.{test['name']}": test["failures"][0]["failure"][:600]
            for suite in document["testsuites"] for test in suite["testsuite"] if test.get("failures")}


def shard(bench, program, tests, results, name, environment=None, seconds=SHARD):
    """Runs tests in one process. Where it ends or hangs, the remaining ones run in another."""
    rest = list(tests)
    while rest and bench.seconds_left() > bench.o.reserve:
        report = bench.children.log(name, "json")
        code, why, out = bench.run(name, [program, "--gtest_filter=" + ":".join(rest), f"--gtest_output=json:{report}"], seconds,
                                   environment={**bench.own, **(environment or {})})
        said, begun, done = messages(report), None, set()
        for line in out.read_text(errors="replace").splitlines():
            if line.startswith("[ RUN      ] "):
                begun = line[13:].strip()
            for mark, word in (("[       OK ] ", "passed"), ("[  FAILED  ] ", "FAILED"), ("[  SKIPPED ] ", "skipped")):
                if line.startswith(mark) and (test := line[len(mark):].split(",")[0].split(" (")[0].strip()) in rest and test not in done:
                    done.add(test)
                    results[test] = (word, said.get(test, ""))
        left = [test for test in rest if test not in done]
        if code in (0, 1) or not left:
            break
        if begun in left:
            results[begun] = ("ENDED", why[:600])
            left.remove(begun)
        elif len(left) == len(rest):  # it did not even begin
            results.update({test: ("ENDED", why[:600]) for test in left})
            break
        rest = left


def jobs(bench, program, filter, shards, results):
    tests = listed(bench, program, filter)
    results.update({test: ("not run", "") for test in tests})
    return [lambda i=i: shard(bench, program, tests[i::shards], results, f"tests {i}") for i in range(min(shards, len(tests)))]


def settle(bench, name, program, results, sanitizer):
    """Records the verdict. Failed tests run again, alone with blocking launches, then under memcheck."""
    count = bench.document["tests"]
    for word, _ in results.values():
        count[word] = count.get(word, 0) + 1
    bad = {test: (word, said) for test, (word, said) in results.items() if word in ("FAILED", "ENDED")}
    for test, (word, said) in bad.items():
        bench.fail(test, f"{word}: {said}")
    words = [word for word, _ in results.values()]
    bench.check(name, not bad and "not run" not in words and "passed" in words)

    def again(test):
        def test_again():
            alone = {}
            shard(bench, program, [test], alone, f"again {test}", {"CUDA_LAUNCH_BLOCKING": "1"})
            bench.write("test again", test=test, blocking=alone.get(test))
            if sanitizer:
                log = bench.children.log(f"memcheck {test}", "memcheck")
                code, why, _ = bench.run(f"memcheck {test}", [sanitizer, "--tool", "memcheck", "--error-exitcode", "9", "--log-file", log, program, f"--gtest_filter={test}"],
                                         3 * ANSWER)
                bench.write("test under memcheck", test=test, code=code, why=why, log=log.name)
        return test_again

    bench.side_by_side([again(test) for test in list(bad)[:12]], 8)
