// Checks that ranks exchange what they should, under any launcher:
//   torchrun --nproc-per-node 2 --no-python build/bin/check_collectives
//   mpirun -n 2 build/bin/check_collectives
//
//   check_collectives              says how many ranks agree; 1 or an Error's code where they do not
//   check_collectives die R        rank R is killed (SIGKILL) while the others wait for it
//   check_collectives fail R       rank R fails, and ends the others
//   check_collectives each M       every rank fails by itself after an exchange of M million bytes, as soon as it has its bytes
//   check_collectives late R S M   rank R comes S seconds late to an exchange of M million bytes with each other rank
//   check_collectives loop M       ranks exchange M million bytes, for ever
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/parallel/ranks.h"
#include "kernels/error.h"
#include "tests/parallel/check/checks.h"

namespace {

void exchange(const fp::Comm& comm, size_t bytes) {
    std::vector<char> sent(bytes * size_t(comm.ranks())), received(sent.size());
    comm.exchange(fp::kernels(fp::Backend::cpu), sent.data(), received.data(), bytes, {});
}

void run(const std::vector<std::string_view>& words) {
    const fp::Comm& comm = fp::join_ranks(fp::ranks_of_launcher());
    const auto number = [&](size_t i) { return words.size() > i ? std::atoi(words[i].data()) : 0; };
    const std::string_view what = words.empty() ? "" : words[0];
    const bool chosen = words.size() > 1 && comm.rank() == number(1);
    fp::testing::check_collectives(comm, 17 << 20);
    if (what == "late" || what == "loop") std::cerr << "joined\n" << std::flush;
    if (chosen && what == "die") std::raise(SIGKILL);
    if (chosen && what == "fail") fp::fail_with(fp::Exit::data, "this rank fails");
    if (chosen && what == "late") std::this_thread::sleep_for(std::chrono::seconds(number(2)));
    if (what == "each") exchange(comm, size_t(number(1)) * 1'000'000);
    if (what == "each") fp::fail_with(fp::Exit::data, "every rank fails");
    if (what == "late") exchange(comm, size_t(number(3)) * 1'000'000);
    while (what == "loop") exchange(comm, size_t(number(1)) * 1'000'000);
    comm.wait_for_all();
    if (comm.first()) std::cout << comm.ranks() << " ranks agree, " << comm.numbered().local_ranks << " on this host\n";
    fp::leave_ranks();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        run({argv + 1, argv + argc});
        return 0;
    } catch (const fp::Error& error) {
        std::cerr << fp::text(name(fp::world().numbered()), ": check_collectives: ", error.what(), "\n") << std::flush;
        fp::world().abort();
        return int(error.exit);
    }
}
