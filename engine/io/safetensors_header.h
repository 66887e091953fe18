// The header of a safetensors file (safetensors.h): JSON that says where each tensor lies.
#pragma once

#include "engine/io/safetensors.h"

namespace fp {

// The data lies at [begin, end) from the end of the header.
struct TensorPlace {
    std::string name;
    Dtype dtype;
    std::vector<int64_t> shape;
    uint64_t begin, end;
};

struct SafetensorsHeader {
    std::map<std::string, std::string> metadata;
    std::vector<TensorPlace> tensors;
};

// Exit::model with the file and what is wrong, for whatever the format does not allow.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file, const SafetensorsLimits&);

// The text that describes tensors which lie one behind the other in this order; padded with spaces to 8 bytes.
std::string safetensors_header(const std::map<std::string, std::string>& metadata,
                               const std::vector<const TensorEntry*>& order);

// Without control characters.
bool is_plain_name(std::string_view name);

}  // namespace fp
