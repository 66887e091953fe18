#include "engine/run/threads.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fp {

void wait_briefly() {
    constexpr const char* kSpins = "2000";  // some 20 us: as long as the gap between two layers
    if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
    setenv("GOMP_SPINCOUNT", kSpins, 1);
    std::error_code failed;
    const std::string program = std::filesystem::read_symlink("/proc/self/exe", failed);
    std::ifstream line("/proc/self/cmdline", std::ios::binary);
    std::vector<std::string> words;
    for (std::string word; std::getline(line, word, '\0');) words.push_back(word);
    if (failed || words.empty()) return;
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execv(program.c_str(),
          arguments.data());  // returns only where it failed: then the threads spin
}

}  // namespace fp
