// SPDX-License-Identifier: MIT
// XEP-0004: Data Forms, as far as a server fills them in or reads them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "xmpp/stanza.h"
#include "xmpp/xml_writer.h"

namespace xmpp {

struct FormField {
    std::string var;
    std::string type = "text-single";   // XEP-0004 §3.3
    std::string label;
    std::vector<std::string> values;
    bool required = false;
    std::vector<std::pair<std::string, std::string>> options;  // label, value
    std::string media;                  // XML to stand inside the field (XEP-0221), optional
};

struct DataForm {
    std::string type = "form";          // form, submit, cancel, result
    std::string title;
    std::vector<std::string> instructions;
    std::vector<FormField> fields;      // FORM_TYPE among them, hidden
    // XEP-0004 §3.4, written only: the columns of a table, and its rows, each with the values in that order.
    std::vector<FormField> reported;
    std::vector<std::vector<std::string>> rows;

    // Reads an <x xmlns='jabber:x:data'/>; unknown field types are text-single.
    static DataForm parse(const Element& x);
    void write(XmlWriter& w) const;

    const FormField* field(std::string_view var) const;
    std::string_view value(std::string_view var) const;  // the first value, or ""
    std::string_view form_type() const { return value("FORM_TYPE"); }
    DataForm& hidden_form_type(std::string_view value);  // adds FORM_TYPE (XEP-0068)
};

}  // namespace xmpp
