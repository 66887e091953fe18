// One class against the rest, called where its probability reaches a threshold. The threshold is chosen on other
// images (validation) than it is judged on (test): chosen on the same ones it flatters itself.
#pragma once

#include <optional>
#include <string>

#include "engine/fairness/predictions.h"

namespace fp {

struct ThresholdRule {
    //   f1            most 2 tp / (2 tp + fp + fn)
    //   youden        most sensitivity + specificity - 1
    //   specificity   most sensitivity where the specificity is at least `value`
    //   fixed         `value`
    enum class Kind { fixed, f1, youden, specificity } kind = Kind::fixed;
    double value = 0.5;
};
// f1, youden, specificity (which takes the number given) or a probability. Exit::usage for another word.
ThresholdRule parse_threshold(const std::string&, double specificity);
std::string to_string(const ThresholdRule&);

// Where to cut, and what that gave on the images that it was chosen on.
struct Threshold {
    double value = 0.5;
    int64_t images = 0, positives = 0;
    double sensitivity = 0, specificity = 0, f1 = 0;
};

// A threshold as a model keeps it (fp_eval --store-threshold).
struct StoredThreshold {
    struct Validation {
        int64_t images, positives;
        double sensitivity, specificity, f1;
        std::string data, split_hash;  // empty: predictions from a file
    };
    std::string positive, rule;
    double value = 0.5;
    std::optional<Validation> chosen_on = {};  // none: it was given
};

// The highest threshold among the best; it lies halfway between two probabilities that occur, or is 0.
// Exit::data where the predictions have no probabilities, no image of the class or none of another, or where no
// threshold has the specificity asked for; Exit::usage for a class that is not there.
Threshold choose_threshold(const Predictions& validation, const std::string& positive, const ThresholdRule&);

// The same images with two classes, `positive` and "not <positive>", and no probabilities; predicted positive
// where the probability is at least `threshold`.
Predictions at_threshold(const Predictions&, const std::string& positive, double threshold);

// Exit::data with the count where images are in both.
void require_apart(const Predictions& chosen_on, const Predictions& judged_on);

}  // namespace fp
