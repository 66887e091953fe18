// One class against the rest: an image is predicted positive where the probability of the class is at least a
// threshold. It is chosen on validation images and judged on test images: on those it was chosen on it looks too good.
#pragma once

#include <optional>
#include <string>

#include "engine/fairness/predictions.h"

namespace fp {

struct ThresholdRule {
    //   f1            the largest 2 tp / (2 tp + fp + fn)
    //   youden        the largest sensitivity + specificity - 1
    //   specificity   the largest sensitivity where the specificity is at least `value`
    //   fixed         `value`
    enum class Kind { fixed, f1, youden, specificity } kind = Kind::fixed;
    double value = 0.5;
};
// f1, youden, specificity (which takes the number given) or a probability. Exit::usage for another word.
ThresholdRule parse_threshold(const std::string&, double specificity);
std::string to_string(const ThresholdRule&);

// A threshold with what it gave on the images that it was chosen on; so a model keeps it (fp_eval --store-threshold).
struct Threshold {
    struct Validation {
        int64_t images = 0, positives = 0;
        double sensitivity = 0, specificity = 0, f1 = 0;
        std::string data = {}, split_hash = {};  // empty: predictions from a file
    };
    std::string positive, rule;
    double value = 0.5;
    std::optional<Validation> chosen_on = {};  // none: it was given
};

// The highest threshold among the best; it lies halfway between two probabilities that occur, or is 0.
// Exit::data where the predictions have no probabilities, no image of the class or none of another, or where no
// threshold has the specificity asked for; Exit::usage for an unknown class. Data and hash are left to the caller.
Threshold choose_threshold(const Predictions& validation, const std::string& positive, const ThresholdRule&);

// The same images with two classes, `positive` and "not <positive>", and no probabilities; predicted positive
// where the probability is at least `threshold`.
Predictions at_threshold(const Predictions&, const std::string& positive, double threshold);

// Exit::data with the count where images are in both.
void require_apart(const Predictions& chosen_on, const Predictions& judged_on);

}  // namespace fp
