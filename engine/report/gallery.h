// The mistakes that a model is surest of, as images. They may show patients: only what a caller asks for is made, and
// it stands in a page alone, never in JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/eval/predict.h"

namespace fp {

struct Mistake {
    std::string image, label, predicted;
    double probability = 0;  // of `predicted`
    std::string png = {};    // the bytes of a file: the middle square, as a network sees it
};

struct Gallery {
    struct Group {
        std::string attribute, name;    // empty where there is no attribute: all images
        std::vector<Mistake> mistakes;  // the surest first
    };
    std::vector<Group> groups = {};
};

// At most `per_group` of each group of each attribute; nothing where that is 0. Predictions without probabilities are
// Exit::usage. `data` is what the predictions were made on.
Gallery gallery_of(const Predictions&,
                   const ImageData& data,
                   const std::vector<std::string>& attributes,
                   int per_group);

// The page of a report (engine/report/page.h) with the gallery, which is not part of the report's document.
std::string report_page(const nlohmann::ordered_json& document, const Gallery&);

}  // namespace fp
