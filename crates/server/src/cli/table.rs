//! The admin API's JSON as tables: objects become rows of a key and a value, lists
//! of objects become one row each. The shapes come from the server, so that a newer
//! server's figures show up without a newer command line.

#![allow(clippy::print_stdout, reason = "the command line's own voice")]

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::{Map, Value};

/// Prints JSON as it came, indented.
pub(super) fn print_json(value: &Value) {
    println!("{value:#}");
}

/// Prints tables.
pub(super) fn print(value: &Value) {
    match value {
        Value::Object(fields) => print_object(fields),
        Value::Array(rows) => print_rows(rows),
        other => println!("{}", cell(other)),
    }
}

fn print_object(fields: &Map<String, Value>) {
    let is_table = |value: &Value| {
        matches!(value, Value::Array(rows) if rows.iter().any(Value::is_object))
    };
    let mut table = new_table();
    for (name, value) in fields.iter().filter(|(_, value)| !is_table(value)) {
        table.add_row([name.replace('_', " "), cell(value)]);
    }
    if !table.is_empty() {
        println!("{table}");
    }
    for (name, value) in fields.iter().filter(|(_, value)| is_table(value)) {
        println!("\n{}", name.replace('_', " "));
        print(value);
    }
}

fn print_rows(rows: &[Value]) {
    let Some(Value::Object(first)) = rows.first() else {
        println!("(none)");
        return;
    };
    let mut table = new_table();
    table.set_header(first.keys().map(|name| name.replace('_', " ")));
    for row in rows {
        table.add_row(first.keys().map(|name| cell(&row[name])));
    }
    println!("{table}");
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{}: {}", name.replace('_', " "), cell(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}
