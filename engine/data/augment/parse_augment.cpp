#include "engine/data/augment/augment.h"

#include <cstdlib>

#include "kernels/error.h"

namespace fp {

AugmentOptions parse_augment(const std::string& text) {
    AugmentOptions out;
    size_t at = 0;
    while (at <= text.size()) {
        const size_t end = std::min(text.find('+', at), text.size());
        const std::string word = text.substr(at, end - at);
        const size_t equals = word.find('=');
        const std::string name = word.substr(0, equals);
        char* rest = nullptr;
        const double value = equals == std::string::npos ? -1 : std::strtod(word.c_str() + equals + 1, &rest);
        FP_REQUIRE(equals == std::string::npos || (*rest == 0 && value >= 0), Exit::usage, "--augment: `", word,
                   "` has no number");
        const bool given = value >= 0;
        if (word == "none") {
        } else if (word == "paper") {
            out = paper_augmentation();
        } else if (word == "flips") {
            out.flip_across = out.flip_down = 0.5;
        } else if (word == "crop") {
            out.crop = Crop::random;
        } else if (name == "resized-crop") {
            out.crop = Crop::resized;
            if (given) out.least_area = value;
        } else if (name == "shift" && given) {
            out.shift = int(value);
        } else if (word == "autoaugment-cifar10") {
            out.auto_augment = AutoAugment::cifar10;
        } else if (word == "autoaugment-imagenet") {
            out.auto_augment = AutoAugment::imagenet;
        } else if (name == "affine") {
            out.affine = given ? value : 1;
        } else if (name == "colour") {
            out.brightness = given ? value : 32.0 / 255;
            out.saturation = given ? value : 0.5;
        } else if (name == "cutout") {
            out.cutout = 1;
            if (given) out.cutout_side = int(value);
        } else if (name == "erase") {
            out.erase = given ? value : 0.5;
        } else {
            fail_with(Exit::usage, "--augment: `", word,
                      "` is unknown: none, flips, paper, crop, resized-crop[=AREA], shift=N, "
                      "affine[=P], colour[=X], autoaugment-cifar10, autoaugment-imagenet, cutout[=N], "
                      "erase[=P], joined by +");
        }
        at = end + 1;
    }
    return out;
}

}  // namespace fp
