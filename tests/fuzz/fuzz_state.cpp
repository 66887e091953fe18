// Any bytes as the description inside a checkpoint's state: an Error with Exit::model, or a description.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/run/checkpoint_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const std::string_view text(reinterpret_cast<const char*>(data), size);
        const fp::StateDescription found = fp::parse_description(text, "fuzz");
        if (found.step < 0) std::abort();
        const auto& [settings, noted] = found.identity;
        if (!fp::difference(settings, settings).empty()) std::abort();
        fp::difference(settings, noted);
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::model) std::abort();
    }
    return 0;
}
