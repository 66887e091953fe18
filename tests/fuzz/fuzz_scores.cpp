// Any bytes as scores.json: an Error with Exit::data or Exit::model, or layers that are written and read the same.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/io/json.h"
#include "engine/prune/scores_file.h"
#include "kernels/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const std::string text(reinterpret_cast<const char*>(data), size);
        const fp::ScoresFile file = fp::read_scores(text, "fuzz", "hash");
        nlohmann::ordered_json document{{"model", "hash"},
                                        {"criterion", file.criterion},
                                        {"layers", nlohmann::ordered_json::array()},
                                        {"sets", file.sets}};
        for (const fp::LayerScores& layer : file.layers) document["layers"].push_back(fp::to_json(layer));
        const fp::ScoresFile again = fp::read_scores(fp::json_line(document), "fuzz", "hash");
        if (again.layers.size() != file.layers.size() || again.sets.size() != file.sets.size()) std::abort();
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::data && error.exit != fp::Exit::model) std::abort();
    }
    return 0;
}
