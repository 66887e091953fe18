// Any bytes as a predictions file: an Error with Exit::data, or predictions that are written and read the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/eval/predictions_file.h"
#include "kernels/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const std::string text(reinterpret_cast<const char*>(data), size);
        const fp::Predictions p = fp::predictions_of(fp::parse_csv(text, "fuzz"));
        for (int64_t i = 0; i < p.size(); ++i)
            if (p.label[i] < 0 || size_t(p.label[i]) >= p.classes.size() || p.pred[i] < 0 ||
                size_t(p.pred[i]) >= p.classes.size())
                std::abort();
        fp::Table again = fp::table_of(p);
        if (int64_t(again.rows.size()) != p.size()) std::abort();
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::data) std::abort();
    }
    return 0;
}
