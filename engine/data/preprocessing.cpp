#include "engine/data/preprocessing.h"

#include <cmath>
#include <cstdio>

#include "kernels/error.h"

namespace fp {

void set_normalization(Preprocessing& p, const std::string& text) {
    const std::string numbers = text == "none"       ? "0,0,0/1,1,1"
                                : text == "imagenet" ? "0.485,0.456,0.406/0.229,0.224,0.225"
                                                     : text;
    int used = 0;
    const int read = std::sscanf(numbers.c_str(), "%f,%f,%f/%f,%f,%f%n", &p.mean[0], &p.mean[1], &p.mean[2], &p.std[0],
                                 &p.std[1], &p.std[2], &used);
    FP_REQUIRE(read == 6 && used == int(numbers.size()), Exit::usage, "normalization `", text,
               "` is neither none, imagenet nor m,m,m/s,s,s");
    for (const float m : p.mean)
        FP_REQUIRE(std::isfinite(m), Exit::usage, "normalization `", text, "`: a mean is not finite");
    for (const float s : p.std)
        FP_REQUIRE(std::isfinite(s) && s > 0, Exit::usage, "normalization `", text, "`: a deviation must be above 0");
}

}  // namespace fp
