#include "engine/io/words.h"

namespace fp {

std::string grouped(int64_t n) {
    std::string out = std::to_string(n);
    const size_t sign = n < 0;
    if (out.size() - sign <= 4) return out;
    for (size_t at = out.size() - 3; at > sign; at = at > 3 ? at - 3 : 0) out.insert(at, ",");
    return out;
}

std::string counted(int64_t n, std::string_view one, std::string_view several) {
    std::string out = grouped(n) + " ";
    out += n == 1 || several.empty() ? one : several;
    return n != 1 && several.empty() ? out + "s" : out;
}

}  // namespace fp
