#include "engine/fairness/weighted_attributes.h"

#include <cmath>
#include <cstdlib>

#include "kernels/error.h"

namespace fp {

std::map<std::string, double> weighted_attributes(const std::vector<std::string>& attributes) {
    std::map<std::string, double> out;
    for (const std::string& a : attributes) {
        const size_t equals = a.find('=');
        char* end = nullptr;
        const double weight = equals == std::string::npos ? 1 : std::strtod(a.c_str() + equals + 1, &end);
        FP_REQUIRE(equals == std::string::npos || (*end == 0 && std::isfinite(weight) && weight >= 0), Exit::usage,
                   "--attribute ", a, ": the weight is no number from 0 on");
        out[a.substr(0, equals)] = weight;
    }
    return out;
}

std::vector<std::string> plain_names(const std::vector<std::string>& attributes) {
    std::vector<std::string> out;
    for (const std::string& a : attributes) out.push_back(a.substr(0, a.find('=')));
    return out;
}

}  // namespace fp
