// SPDX-License-Identifier: MIT
// XEP-0004: Data Forms. Tables (§3.4) are written, not read.
#include "xmpp/data_form.h"

#include <algorithm>
#include <array>

#include "xmpp/namespaces.h"

namespace xmpp {

namespace {

constexpr std::string_view media_ns = "urn:xmpp:media-element";  // XEP-0221

constexpr std::array<std::string_view, 10> field_types = {
    "boolean",    "fixed",       "hidden",     "jid-multi",    "jid-single",
    "list-multi", "list-single", "text-multi", "text-private", "text-single"};

// XEP-0004 §3.3: a type that is not known is taken for text-single.
std::string_view known_type(std::string_view type) {
    const auto* const found = std::find(field_types.begin(), field_types.end(), type);
    return found == field_types.end() ? "text-single" : *found;
}

FormField parse_field(const Element& element) {
    FormField field;
    field.var = element.attr("var");
    field.type = known_type(element.attr("type"));
    field.label = element.attr("label");
    for (const Element child : element.children()) {
        if (child.is("value", ns::data_form))
            field.values.push_back(child.text());
        else if (child.is("required", ns::data_form))
            field.required = true;
        else if (child.is("option", ns::data_form))
            field.options.emplace_back(child.attr("label"), child.child("value", ns::data_form).text());
        else if (child.is("media", media_ns))
            child.append_to(field.media, ns::data_form);
    }
    return field;
}

void write_field(XmlWriter& w, const FormField& field, bool with_type) {
    w.open("field").attr_if("var", field.var);
    if (with_type || field.type == "hidden") w.attr_if("type", field.type);
    w.attr_if("label", field.label);
    if (!field.media.empty()) w.raw(field.media);
    if (field.required) w.leaf("required");
    for (const std::string& value : field.values) w.leaf("value", value);
    for (const auto& [label, value] : field.options)
        w.open("option").attr_if("label", label).leaf("value", value).close();
    w.close();
}

// §3.4
void write_table(XmlWriter& w, const DataForm& form) {
    if (form.reported.empty()) return;
    w.open("reported");
    for (const FormField& column : form.reported) write_field(w, column, true);
    w.close();
    for (const std::vector<std::string>& row : form.rows) {
        w.open("item");
        for (std::size_t column = 0; column < row.size() && column < form.reported.size(); ++column)
            w.open("field").attr("var", form.reported[column].var).leaf("value", row[column]).close();
        w.close();
    }
}

}  // namespace

DataForm DataForm::parse(const Element& x) {
    DataForm form;
    form.type = x.attr("type");
    for (const Element child : x.children()) {
        if (child.is("field", ns::data_form))
            form.fields.push_back(parse_field(child));
        else if (child.is("title", ns::data_form))
            form.title = child.text();
        else if (child.is("instructions", ns::data_form))
            form.instructions.push_back(child.text());
    }
    return form;
}

void DataForm::write(XmlWriter& w) const {
    w.open("x", ns::data_form).attr("type", type);
    if (!title.empty()) w.leaf("title", title);
    for (const std::string& line : instructions) w.leaf("instructions", line);
    // XEP-0004 §3.2: who fills a form in need not repeat the types.
    for (const FormField& each : fields) write_field(w, each, type != "submit");
    write_table(w, *this);
    w.close();
}

const FormField* DataForm::field(std::string_view var) const {
    const auto found =
        std::find_if(fields.begin(), fields.end(), [var](const FormField& f) { return f.var == var; });
    return found == fields.end() ? nullptr : &*found;
}

std::string_view DataForm::value(std::string_view var) const {
    const FormField* found = field(var);
    return found && !found->values.empty() ? std::string_view{found->values.front()} : std::string_view{};
}

DataForm& DataForm::hidden_form_type(std::string_view value) {
    FormField form_type;
    form_type.var = "FORM_TYPE";
    form_type.type = "hidden";
    form_type.values.emplace_back(value);
    fields.insert(fields.begin(), std::move(form_type));
    return *this;
}

}  // namespace xmpp
