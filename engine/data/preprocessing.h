// What an image goes through before the network sees it. Kept in the checkpoint, so that every tool does the
// same: short side to `image_size` with an antialiased triangle filter, centre crop, scale to [0,1], subtract
// the mean, divide by the deviation.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace fp {

struct Preprocessing {
    int image_size = 64;
    std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};
    bool operator==(const Preprocessing&) const = default;
};

// "none", "imagenet" or "m,m,m/s,s,s".
void set_normalization(Preprocessing&, const std::string& text);

nlohmann::ordered_json to_json(const Preprocessing&);
Preprocessing preprocessing_from_json(const nlohmann::ordered_json&);

}  // namespace fp
