//! The chart as the real helm renders it: each of its shapes is accepted by a real API server and has what it should, and
//! each value is checked by the schema and read by a template.

#[cfg(test)]
mod chart {
    mod rendered;
    mod shapes;
    mod values;
}
