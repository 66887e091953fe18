#include "engine/report/html.h"

namespace fp {
namespace {

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '"')
            out += "&quot;";
        else
            out += c;
    }
    return out;
}

}  // namespace

std::string report_html(const nlohmann::ordered_json& report) {
    return "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>" +
           escaped(report.at("title").get<std::string>()) + "</title><pre>" +
           escaped(report.dump(1)) + "</pre></html>\n";
}

}  // namespace fp
