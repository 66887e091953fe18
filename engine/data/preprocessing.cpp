#include "engine/data/preprocessing.h"

#include <cmath>
#include <cstdio>

#include "kernels/error.h"

namespace fp {

void set_normalization(Preprocessing& p, const std::string& text) {
    if (text == "none") {
        p.mean = {0, 0, 0};
        p.std = {1, 1, 1};
    } else if (text == "imagenet") {
        p.mean = {0.485f, 0.456f, 0.406f};
        p.std = {0.229f, 0.224f, 0.225f};
    } else {
        int used = 0;
        const int read = std::sscanf(text.c_str(), "%f,%f,%f/%f,%f,%f%n", &p.mean[0], &p.mean[1], &p.mean[2], &p.std[0],
                                     &p.std[1], &p.std[2], &used);
        FP_REQUIRE(read == 6 && used == int(text.size()), Exit::usage, "normalization `", text,
                   "` is neither none, imagenet nor m,m,m/s,s,s");
        for (const float s : p.std)
            FP_REQUIRE(std::isfinite(s) && s > 0, Exit::usage, "normalization `", text,
                       "`: a deviation must be above 0");
    }
}

}  // namespace fp
