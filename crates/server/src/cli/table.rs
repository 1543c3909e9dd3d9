//! The admin API's JSON as tables: plain fields become rows of a name and a value, an
//! object or a list of objects becomes a table under its own heading. The shapes come
//! from the server, so that a newer server's figures show up without a newer command line.

#![allow(clippy::print_stdout, reason = "the command line's own voice")]

use comfy_table::{Table, presets::NOTHING};
use serde_json::{Map, Value};

/// Prints JSON as it came, indented.
pub(super) fn print_json(value: &Value) {
    println!("{value:#}");
}

/// Prints tables.
pub(super) fn print(value: &Value) {
    match value {
        Value::Object(fields) => print_object("", fields),
        Value::Array(rows) => print_rows(rows),
        other => println!("{}", cell(other)),
    }
}

fn print_object(heading: &str, fields: &Map<String, Value>) {
    let mut table = new_table();
    let mut nested = Vec::new();
    for (name, value) in fields {
        let name = name.replace('_', " ");
        match value {
            Value::Object(fields) => nested.push((name, Ok(fields))),
            Value::Array(rows) if rows.iter().any(Value::is_object) => {
                nested.push((name, Err(rows)))
            }
            plain => {
                table.add_row([name, cell(plain)]);
            }
        }
    }
    if !heading.is_empty() {
        println!("\n{heading}");
    }
    if !table.is_empty() {
        println!("{table}");
    }
    for (name, value) in nested {
        match value {
            Ok(fields) => print_object(&name, fields),
            Err(rows) => {
                println!("\n{name}");
                print_rows(rows);
            }
        }
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

/// A table without lines.
pub(super) fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
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
