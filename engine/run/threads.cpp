#include "engine/run/threads.h"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fp {
namespace {

void unbind_first_thread() {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int place = 0; place < omp_get_num_places(); ++place) {
        std::vector<int> found(size_t(omp_get_place_num_procs(place)));
        omp_get_place_proc_ids(place, found.data());
        for (const int core : found) CPU_SET(size_t(core), &cores);
    }
    if (CPU_COUNT(&cores) > 0) sched_setaffinity(0, sizeof cores, &cores);
}

}  // namespace

void prepare_threads() {
    unbind_first_thread();
    if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
    setenv("GOMP_SPINCOUNT", "2000", 1);                    // some 20 us: as long as the gap between two layers
    setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 0);  // large blocks ask for huge pages
    std::error_code failed;
    const std::string program = std::filesystem::read_symlink("/proc/self/exe", failed);
    std::ifstream line("/proc/self/cmdline", std::ios::binary);
    std::vector<std::string> words;
    for (std::string word; std::getline(line, word, '\0');) words.push_back(word);
    if (failed || words.empty()) return;
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execv(program.c_str(), arguments.data());  // returns only where it failed: then the threads spin
}

}  // namespace fp
