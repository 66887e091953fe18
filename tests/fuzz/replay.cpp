// Runs a fuzz target once over every file of the folders named: its corpus, and what once crashed it.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#include "engine/io/files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// What custom mutators call; nothing mutates here.
extern "C" size_t LLVMFuzzerMutate(uint8_t*, size_t size, size_t) { return size; }

int main(int argc, char** argv) {
    int files = 0;
    for (int i = 1; i < argc; ++i)
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            const std::string bytes = fp::read_file(entry.path(), 1 << 28);
            LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
            ++files;
        }
    std::printf("%d files\n", files);
    return files > 0 ? 0 : 1;
}
