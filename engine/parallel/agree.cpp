#include "engine/parallel/agree.h"

#include "engine/parallel/agreement.h"

namespace fp {

std::vector<std::string> agreed(const Comm& comm, const std::function<std::string()>& work) {
    if (comm.alone()) return {work()};
    std::string mine;
    try {
        mine = "=" + work();
    } catch (...) {
        mine = packed(fault_of(std::current_exception(), comm));
    }
    std::vector<std::string> told = comm.gather(mine);
    for (std::string& of_rank : told) {
        if (of_rank[0] != '=') raise(unpacked(of_rank));
        of_rank.erase(0, 1);
    }
    return told;
}

void agree(const Comm& comm, const std::function<void()>& work) { on_every(comm, work); }

}  // namespace fp
