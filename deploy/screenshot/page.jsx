// The panels of a dashboard with what Prometheus found for them, drawn by Grafana's components. `DASHBOARD` and `SERIES` come
// from make.mjs.
import "uplot/dist/uPlot.min.css";
import {
  applyFieldOverrides,
  createDataFrame,
  createTheme,
  FieldConfigOptionsRegistry,
  FieldType,
  ThemeContext,
} from "@grafana/data";
import { LegendDisplayMode } from "@grafana/schema";
import { GlobalStyles, PanelChrome, TimeSeries } from "@grafana/ui";
import { createRoot } from "react-dom/client";

const theme = createTheme({ colors: { mode: "dark" } });
/** Pixels of a column and of a row of the grid, and between two panels. */
const [COLUMN, ROW, GAP] = [60, 38, 8];
const legend = { displayMode: LegendDisplayMode.List, placement: "bottom", showLegend: true, calcs: [] };

/** A frame for each series of a panel. */
function framesOf({ title, targets, fieldConfig: { defaults, overrides } }) {
  const data = targets.flatMap(({ legendFormat }) => {
    const { result } = SERIES.find((one) => one.title === title && one.legendFormat === legendFormat);
    return result.map(({ metric, values }) => {
      const displayNameFromDS = legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label]);
      return createDataFrame({
        fields: [
          { name: "time", type: FieldType.time, values: values.map(([time]) => 1000 * time), config: {} },
          {
            name: "value",
            type: FieldType.number,
            values: values.map(([, value]) => Number(value)),
            // The colours that Grafana's panels have by default.
            config: { ...defaults, displayNameFromDS, color: { mode: "palette-classic" } },
          },
        ],
      });
    });
  });
  return applyFieldOverrides({
    data,
    fieldConfig: { defaults, overrides },
    fieldConfigRegistry: new FieldConfigOptionsRegistry(),
    replaceVariables: (text) => text,
    theme,
    timeZone: "utc",
  });
}

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const style = { position: "absolute", left: x * COLUMN + GAP / 2, top: y * ROW + GAP / 2 };
  if (panel.type === "row") return <h2 style={{ ...style, fontSize: 18, margin: 0 }}>{panel.title}</h2>;
  const frames = framesOf(panel);
  const times = frames.flatMap(({ fields: [time] }) => time.values);
  const [from, to] = [Math.min(...times), Math.max(...times)].map((time) => ({ valueOf: () => time }));
  return (
    <div style={style}>
      <PanelChrome title={panel.title} width={w * COLUMN - GAP} height={h * ROW - GAP}>
        {(width, height) => (
          <TimeSeries
            {...{ width, height, frames, legend, timeZone: "utc", structureRev: 1 }}
            timeRange={{ from, to, raw: { from, to } }}
          />
        )}
      </PanelChrome>
    </div>
  );
}

createRoot(document.getElementById("root")).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    {DASHBOARD.panels.map((panel) => (
      <Panel key={panel.title} panel={panel} />
    ))}
  </ThemeContext.Provider>,
);
