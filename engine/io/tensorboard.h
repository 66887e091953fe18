// TensorBoard's event files, of scalars only: a frame per event, each a small protocol buffer.
// https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fp {

// Castagnoli's checksum, reflected, polynomial 0x1EDC6F41 (RFC 3720, appendix B.4).
uint32_t crc32c(std::string_view bytes);

// What the file starts with.
std::string event_file_header(double seconds_since_1970);

// One event: values by tag at a step.
std::string scalar_event(double seconds_since_1970,
                         int64_t step,
                         const std::vector<std::pair<std::string, double>>& values);

}  // namespace fp
