// Checks that ranks exchange what they should, under any launcher:
//   torchrun --nproc-per-node 2 --no-python build/bin/check_collectives
//   mpirun -n 2 build/bin/check_collectives
//
//   check_collectives          says how many ranks agree; 1 or an Error's code where they do not
//   check_collectives die R    rank R is killed (SIGKILL) while the others wait for it
//   check_collectives fail R   rank R fails, and ends the others
//   check_collectives hang R   rank R stays away from a call
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <thread>

#include "engine/parallel/ranks.h"
#include "kernels/error.h"
#include "tests/parallel/check/checks.h"

namespace {

void run(int argc, char** argv) {
    const fp::Comm& comm = fp::join_ranks(fp::ranks_of_launcher());
    const std::string_view what = argc > 2 ? argv[1] : "";
    const bool chosen = argc > 2 && comm.rank() == std::atoi(argv[2]);
    fp::testing::check_collectives(comm, 17 << 20);
    if (chosen && what == "die") std::raise(SIGKILL);
    if (chosen && what == "fail") fp::fail_with(fp::Exit::data, "this rank fails");
    if (chosen && what == "hang") std::this_thread::sleep_for(std::chrono::seconds(60));
    comm.wait_for_all();
    if (comm.first()) std::cout << comm.ranks() << " ranks agree, " << comm.numbered().local_ranks << " on this host\n";
    fp::leave_ranks();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        run(argc, argv);
        return 0;
    } catch (const fp::Error& error) {
        std::cerr << fp::text(name(fp::world().numbered()), ": check_collectives: ", error.what(), "\n") << std::flush;
        fp::world().abort();
        return int(error.exit);
    }
}
