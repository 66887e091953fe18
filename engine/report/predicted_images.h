// What a model predicts for images, with or without labels, as text and JSON.
#pragma once

#include <map>
#include <string>

#include "engine/eval/predict.h"
#include "engine/fairness/threshold.h"

namespace fp {

struct PredictedImages {
    Predictions predictions;
    std::map<std::string, Threshold> thresholds = {};  // by class
    std::map<std::string, std::string> skipped = {};   // what is wrong with an unreadable image, by its path
};

// Adds a column positive_CLASS for each threshold, 1 where the class's probability is at least the threshold, else 0.
// Exit::usage for a class that the model lacks.
void apply_thresholds(PredictedImages&);

// The `count` most probable classes of a row, the most probable first, the lower index at a tie.
std::vector<int> top_classes(const double* probabilities, int classes, int count);

// A line per image: "a.jpg: MEL 0.6123, NV 0.3011, BCC 0.0512; MEL is positive (0.6123 >= 0.22)".
std::string to_text(const PredictedImages&, int top);
// "120 images: MEL 30, NV 90; positive at the threshold: MEL 41".
std::string counts_text(const PredictedImages&);

// {"classes":[...],"thresholds":{CLASS:{"value",...}},
//  "images":[{"image","label","pred","top":[{"class","probability"}],"probabilities":[...],"columns":{COLUMN:VALUE}}],
//  "skipped":[{"image","reason"}]}; without labels there is none.
std::string json_text(const PredictedImages&, int top);

}  // namespace fp
