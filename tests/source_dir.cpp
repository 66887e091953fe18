#include "tests/source_dir.h"

std::filesystem::path source_dir() { return FP_SOURCE_DIR; }
