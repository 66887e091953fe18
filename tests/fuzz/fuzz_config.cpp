// Any bytes as a configuration: an Error with Exit::data, or entries whose strings are written and read the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kernels/error.h"
#include "tools/toml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const std::string_view text(reinterpret_cast<const char*>(data), size);
        for (const fp::TomlEntry& entry : fp::parse_toml(text, "fuzz")) {
            if (!entry.is_array && entry.values.size() != 1) std::abort();
            for (const std::string& value : entry.values)
                if (fp::parse_toml("x = " + fp::toml_string(value), "fuzz").at(0).values.at(0) != value) std::abort();
        }
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::data) std::abort();
    }
    return 0;
}
