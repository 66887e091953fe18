// The frame of every report: one HTML file, no scripts, nothing loaded from elsewhere, light and dark, prints well.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace fp {

// `title` is escaped here, `body` is HTML.
std::string page(const std::string& title, const std::string& body);

// How to repeat what is reported: its "command", and its "environment" where there is one.
std::string origin_section(const nlohmann::ordered_json& report);

}  // namespace fp
