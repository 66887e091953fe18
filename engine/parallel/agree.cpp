#include "engine/parallel/agree.h"

#include "kernels/error.h"

namespace fp {
namespace {

constexpr char kWorked = 0;  // else the exit code, and behind it the text of the error

std::string failure(const Comm& comm, Exit exit, const char* what) {
    return char(exit) + name(comm.numbered()) + ": " + what;
}

std::string attempt(const Comm& comm, const std::function<std::string()>& work) {
    try {
        return kWorked + work();
    } catch (const Error& error) {
        return failure(comm, error.exit, error.what());
    } catch (const std::exception& error) {
        return failure(comm, Exit::bug, error.what());
    }
}

}  // namespace

std::vector<std::string> agreed(const Comm& comm, const std::function<std::string()>& work) {
    if (comm.alone()) return {work()};
    std::vector<std::string> told = comm.gather(attempt(comm, work));
    for (std::string& of_rank : told) {
        if (of_rank[0] != kWorked) throw Error(of_rank.substr(1), Exit(of_rank[0]));
        of_rank.erase(0, 1);
    }
    return told;
}

void agree(const Comm& comm, const std::function<void()>& work) {
    agreed(comm, [&] {
        work();
        return std::string();
    });
}

}  // namespace fp
