/**
 * The part of onnxruntime's C API that the engine calls (onnxruntime_c_api.h, struct OrtApi, version 29). The struct is append-only: an
 * entry's index never changes. Data only; `library.ts` binds it and gives every entry its TypeScript signature.
 */
export const API_VERSION = 29;

export type HandleKind =
  | 'status'
  | 'env'
  | 'session'
  | 'sessionOptions'
  | 'runOptions'
  | 'value'
  | 'memoryInfo'
  | 'allocator'
  | 'shapeInfo'
  | 'threadingOptions'
  | 'binding';

/**
 * Kinds of arguments: a handle by its kind, 'out K' a handle that is made, 'address' memory (an address or the typed array over it), 'size' a
 * size_t, 'int' an int or enum, 'text' a UTF-8 string, 'path' ORTCHAR_T* (UTF-16 on Windows).
 */
export type ArgumentKind = HandleKind | `out ${HandleKind}` | 'address' | 'size' | 'int' | 'text' | 'path';
export type ResultKind = 'status' | 'void' | 'int' | 'text';

export interface Entry {
  readonly index: number;
  readonly result: ResultKind;
  readonly args: readonly ArgumentKind[];
}

export const TABLE = {
  GetErrorCode: { index: 1, result: 'int', args: ['status'] },
  GetErrorMessage: { index: 2, result: 'text', args: ['status'] },
  CreateEnv: { index: 3, result: 'status', args: ['int', 'text', 'out env'] },
  CreateSessionFromArray: { index: 8, result: 'status', args: ['env', 'address', 'size', 'sessionOptions', 'out session'] },
  Run: { index: 9, result: 'status', args: ['session', 'runOptions', 'address', 'address', 'size', 'address', 'size', 'address'] },
  CreateSessionOptions: { index: 10, result: 'status', args: ['out sessionOptions'] },
  EnableProfiling: { index: 14, result: 'status', args: ['sessionOptions', 'path'] },
  DisableMemPattern: { index: 17, result: 'status', args: ['sessionOptions'] },
  DisableCpuMemArena: { index: 19, result: 'status', args: ['sessionOptions'] },
  SetSessionLogSeverityLevel: { index: 22, result: 'status', args: ['sessionOptions', 'int'] },
  SetSessionGraphOptimizationLevel: { index: 23, result: 'status', args: ['sessionOptions', 'int'] },
  SetIntraOpNumThreads: { index: 24, result: 'status', args: ['sessionOptions', 'int'] },
  SetInterOpNumThreads: { index: 25, result: 'status', args: ['sessionOptions', 'int'] },
  SessionGetInputCount: { index: 30, result: 'status', args: ['session', 'address'] },
  SessionGetOutputCount: { index: 31, result: 'status', args: ['session', 'address'] },
  SessionGetInputName: { index: 36, result: 'status', args: ['session', 'size', 'allocator', 'address'] },
  SessionGetOutputName: { index: 37, result: 'status', args: ['session', 'size', 'allocator', 'address'] },
  CreateRunOptions: { index: 39, result: 'status', args: ['out runOptions'] },
  RunOptionsSetTerminate: { index: 46, result: 'status', args: ['runOptions'] },
  CreateTensorAsOrtValue: { index: 48, result: 'status', args: ['allocator', 'address', 'size', 'int', 'out value'] },
  CreateTensorWithDataAsOrtValue: {
    index: 49,
    result: 'status',
    args: ['memoryInfo', 'address', 'size', 'address', 'size', 'int', 'out value'],
  },
  IsTensor: { index: 50, result: 'status', args: ['value', 'address'] },
  GetTensorMutableData: { index: 51, result: 'status', args: ['value', 'address'] },
  FillStringTensor: { index: 52, result: 'status', args: ['value', 'address', 'size'] },
  GetStringTensorDataLength: { index: 53, result: 'status', args: ['value', 'address'] },
  GetStringTensorContent: { index: 54, result: 'status', args: ['value', 'address', 'size', 'address', 'size'] },
  GetTensorElementType: { index: 60, result: 'status', args: ['shapeInfo', 'address'] },
  GetDimensionsCount: { index: 61, result: 'status', args: ['shapeInfo', 'address'] },
  GetDimensions: { index: 62, result: 'status', args: ['shapeInfo', 'address', 'size'] },
  GetTensorTypeAndShape: { index: 65, result: 'status', args: ['value', 'out shapeInfo'] },
  CreateMemoryInfo: { index: 68, result: 'status', args: ['text', 'int', 'int', 'int', 'out memoryInfo'] },
  CreateCpuMemoryInfo: { index: 69, result: 'status', args: ['int', 'int', 'out memoryInfo'] },
  AllocatorFree: { index: 76, result: 'status', args: ['allocator', 'address'] },
  GetAllocatorWithDefaultOptions: { index: 78, result: 'status', args: ['out allocator'] },
  ReleaseMemoryInfo: { index: 94, result: 'void', args: ['memoryInfo'] },
  ReleaseStatus: { index: 93, result: 'void', args: ['status'] },
  ReleaseSession: { index: 95, result: 'void', args: ['session'] },
  ReleaseValue: { index: 96, result: 'void', args: ['value'] },
  ReleaseRunOptions: { index: 97, result: 'void', args: ['runOptions'] },
  ReleaseTensorTypeAndShapeInfo: { index: 99, result: 'void', args: ['shapeInfo'] },
  ReleaseSessionOptions: { index: 100, result: 'void', args: ['sessionOptions'] },
  SessionEndProfiling: { index: 110, result: 'status', args: ['session', 'allocator', 'address'] },
  CreateEnvWithGlobalThreadPools: { index: 119, result: 'status', args: ['int', 'text', 'threadingOptions', 'out env'] },
  DisablePerSessionThreads: { index: 120, result: 'status', args: ['sessionOptions'] },
  CreateThreadingOptions: { index: 121, result: 'status', args: ['out threadingOptions'] },
  ReleaseThreadingOptions: { index: 122, result: 'void', args: ['threadingOptions'] },
  GetAvailableProviders: { index: 125, result: 'status', args: ['address', 'address'] },
  ReleaseAvailableProviders: { index: 126, result: 'status', args: ['address', 'int'] },
  AddSessionConfigEntry: { index: 130, result: 'status', args: ['sessionOptions', 'text', 'text'] },
  CreateAllocator: { index: 131, result: 'status', args: ['session', 'memoryInfo', 'out allocator'] },
  ReleaseAllocator: { index: 132, result: 'void', args: ['allocator'] },
  RunWithBinding: { index: 133, result: 'status', args: ['session', 'runOptions', 'binding'] },
  CreateIoBinding: { index: 134, result: 'status', args: ['session', 'out binding'] },
  ReleaseIoBinding: { index: 135, result: 'void', args: ['binding'] },
  BindInput: { index: 136, result: 'status', args: ['binding', 'text', 'value'] },
  BindOutput: { index: 137, result: 'status', args: ['binding', 'text', 'value'] },
  SetGlobalIntraOpNumThreads: { index: 147, result: 'status', args: ['threadingOptions', 'int'] },
  SetGlobalInterOpNumThreads: { index: 148, result: 'status', args: ['threadingOptions', 'int'] },
  SetGlobalSpinControl: { index: 149, result: 'status', args: ['threadingOptions', 'int'] },
  SetGlobalDenormalAsZero: { index: 155, result: 'status', args: ['threadingOptions'] },
  SessionOptionsAppendExecutionProvider: {
    index: 216,
    result: 'status',
    args: ['sessionOptions', 'text', 'address', 'address', 'size'],
  },
  CopyTensors: { index: 386, result: 'status', args: ['env', 'address', 'address', 'address', 'size'] },
} as const satisfies Record<string, Entry>;
