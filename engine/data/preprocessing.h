// What happens to an image before the network reads it: short side to `image_size` with an antialiased triangle filter,
// centre crop, scale to [0,1], subtract the mean, divide by the deviation. The checkpoint stores it, so that every tool
// does the same.
#pragma once

#include <array>
#include <string>

namespace fp {

struct Preprocessing {
    int image_size = 64;
    std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};
    bool operator==(const Preprocessing&) const = default;
};

// "none", "imagenet" or "m,m,m/s,s,s".
void set_normalization(Preprocessing&, const std::string& text);

}  // namespace fp
